/* SPDX-License-Identifier: MIT */
#include "supervisor/queue.h"

#include "shared/clock.h"

#include <string.h>

/* Users whose last turn is remembered; the one longest ago is forgotten first. */
#define TURNS_MAX 1024

struct turn {
        uid_t uid;
        uint64_t number;
};

void
queue_init(struct queue *q)
{
        memset(q, 0, sizeof(*q));
        TAILQ_INIT(&q->waiting);
        TAILQ_INIT(&q->ended);
}

static void
free_list(struct job_list *list)
{
        struct job *job;

        while ((job = TAILQ_FIRST(list))) {
                TAILQ_REMOVE(list, job, entry);
                job_free(job);
        }
}

void
queue_deinit(struct queue *q)
{
        free_list(&q->waiting);
        free_list(&q->ended);
        job_free(q->running);
        free(q->turns);
}

struct job *
queue_find(const struct queue *q, const char *id)
{
        struct job *job;

        if (q->running && strcmp(q->running->id, id) == 0)
                return q->running;
        TAILQ_FOREACH(job, &q->waiting, entry)
        {
                if (strcmp(job->id, id) == 0)
                        return job;
        }
        TAILQ_FOREACH(job, &q->ended, entry)
        {
                if (strcmp(job->id, id) == 0)
                        return job;
        }
        return NULL;
}

unsigned
queue_length_of(const struct queue *q, uid_t uid)
{
        struct job *job;
        unsigned n = 0;

        TAILQ_FOREACH(job, &q->waiting, entry)
        n += job->uid == uid;
        return n;
}

static struct turn *
find_turn(const struct queue *q, uid_t uid)
{
        for (size_t i = 0; i < q->n_turns; i++) {
                if (q->turns[i].uid == uid)
                        return &q->turns[i];
        }
        return NULL;
}

static uint64_t
last_turn(const struct queue *q, uid_t uid)
{
        const struct turn *turn = find_turn(q, uid);

        return turn ? turn->number : 0;
}

/* Where a waiting job belongs. */
struct place {
        struct job *job;
        unsigned rank;  /* jobs of the same user before it: each of them costs him a turn */
        uint64_t turn;  /* when the user last had one */
        uint64_t first; /* arrival of the user's first waiting job: the order of those who never had a turn */
};

static int
by_place(const void *a, const void *b)
{
        const struct place *x = a, *y = b;

        if (x->rank != y->rank)
                return x->rank < y->rank ? -1 : 1;
        if (x->turn != y->turn)
                return x->turn < y->turn ? -1 : 1;
        return x->first < y->first ? -1 : x->first > y->first;
}

/* What is known of a user while one of the lists is gone through. */
struct user {
        uid_t uid;
        unsigned jobs;                /* of his so far */
        uint64_t turn, first;         /* of waiting jobs; as in struct place */
        struct job *fetched, *oldest; /* of ended jobs: the oldest ones of which nobody waits for; NULL: none */
};

/* The user's place; a new one is empty. */
static struct user *
find_user(struct user *users, size_t *n, uid_t uid)
{
        for (size_t i = 0; i < *n; i++) {
                if (users[i].uid == uid)
                        return &users[i];
        }
        users[*n] = (struct user){.uid = uid};
        return &users[(*n)++];
}

/* The list keeps each user's jobs in their order of arrival, before and after. Without memory it stays as it is,
 * which is unfair and nothing worse. */
static void
arrange(struct queue *q)
{
        AUTO_FREE struct place *places = malloc(q->n_waiting * sizeof(*places));
        AUTO_FREE struct user *users = malloc(q->n_waiting * sizeof(*users));
        size_t n = 0, n_users = 0;
        struct job *job;

        if (q->arranged || !places || !users)
                return;
        TAILQ_FOREACH(job, &q->waiting, entry)
        {
                struct user *u = find_user(users, &n_users, job->uid);

                if (u->jobs == 0) {
                        u->turn = last_turn(q, job->uid);
                        u->first = job->arrival;
                }
                places[n++] = (struct place){.job = job, .rank = u->jobs++, .turn = u->turn, .first = u->first};
        }
        qsort(places, n, sizeof(*places), by_place);
        TAILQ_INIT(&q->waiting);
        for (size_t i = 0; i < n; i++) {
                places[i].job->position = (unsigned)i + 1;
                TAILQ_INSERT_TAIL(&q->waiting, places[i].job, entry);
        }
        q->arranged = true;
}

const struct job_list *
queue_waiting(struct queue *q)
{
        arrange(q);
        return &q->waiting;
}

unsigned
queue_position(struct queue *q, const struct job *job)
{
        if (job->state != JOB_QUEUED)
                return 0;
        arrange(q);
        return job->position;
}

void
queue_add(struct queue *q, struct job *job)
{
        job->state = JOB_QUEUED;
        job->arrival = ++q->arrivals;
        TAILQ_INSERT_TAIL(&q->waiting, job, entry);
        q->n_waiting++;
        q->arranged = false;
}

/* Takes a job off the waiting ones. */
static void
remove_waiting(struct queue *q, struct job *job)
{
        TAILQ_REMOVE(&q->waiting, job, entry);
        q->n_waiting--;
        q->arranged = false;
}

static void
note_turn(struct queue *q, uid_t uid)
{
        struct turn *turn = find_turn(q, uid);

        if (!turn && q->n_turns < TURNS_MAX) {
                struct turn *more = realloc(q->turns, (q->n_turns + 1) * sizeof(*more));

                if (!more)
                        return; /* this user's turn is not remembered; nothing worse */
                q->turns = more;
                turn = &q->turns[q->n_turns++];
        }
        if (!turn) {
                turn = q->turns;
                for (size_t i = 1; i < q->n_turns; i++) {
                        if (q->turns[i].number < turn->number)
                                turn = &q->turns[i];
                }
        }
        turn->uid = uid;
        turn->number = ++q->turn;
}

struct job *
queue_next(struct queue *q)
{
        struct job *next = TAILQ_FIRST(queue_waiting(q));

        if (!next)
                return NULL;
        remove_waiting(q, next);
        note_turn(q, next->uid);
        next->state = JOB_RUNNING;
        next->started_ns = clock_now_ns();
        q->running = next;
        return next;
}

void
queue_end(struct queue *q, struct job *job)
{
        if (q->running == job)
                q->running = NULL;
        else
                remove_waiting(q, job);
        job->ended_ns = clock_now_ns();
        q->jobs_ended++;
        q->n_ended++;
        TAILQ_INSERT_TAIL(&q->ended, job, entry);
}

void
queue_adopt(struct queue *q, struct job *job)
{
        job->state = JOB_RUNNING;
        q->running = job;
}

void
queue_forget(struct queue *q, struct job *job)
{
        TAILQ_REMOVE(&q->ended, job, entry);
        q->n_ended--;
        job_free(job);
}

void
queue_restore(struct queue *q, struct job *job)
{
        struct job *older = queue_find(q, job->id);

        if (older)
                queue_forget(q, older);
        job->ended_ns = clock_now_ns();
        TAILQ_INSERT_TAIL(&q->ended, job, entry);
        q->n_ended++;
}

/* The job to forget next; those that somebody still waits for are kept. Of users who have as many, it is the one whose
 * first ended earlier. Without memory nothing is forgotten this time. */
static struct job *
most_forgettable(const struct queue *q)
{
        AUTO_FREE struct user *users = malloc(q->n_ended * sizeof(*users));
        const struct user *most = NULL;
        size_t n = 0;
        struct job *job;

        if (!users)
                return NULL;
        TAILQ_FOREACH(job, &q->ended, entry)
        {
                struct user *u = find_user(users, &n, job->uid);

                u->jobs++;
                if (!TAILQ_EMPTY(&job->watchers))
                        continue;
                if (!u->oldest)
                        u->oldest = job;
                if (!u->fetched && job->fetched)
                        u->fetched = job;
        }
        for (size_t i = 0; i < n; i++) {
                if (users[i].oldest && (!most || users[i].jobs > most->jobs))
                        most = &users[i];
        }
        return !most ? NULL : most->fetched ? most->fetched : most->oldest;
}

void
queue_trim(struct queue *q, uint64_t keep)
{
        struct job *job;

        while (q->n_ended > keep && (job = most_forgettable(q)))
                queue_forget(q, job);
}

uint64_t
queue_youngest_unfetched_ns(const struct queue *q)
{
        struct job *job;
        uint64_t youngest = 0;

        TAILQ_FOREACH(job, &q->ended, entry)
        {
                if (!job->fetched)
                        youngest = MAX(youngest, job->ended_ns);
        }
        return youngest;
}
