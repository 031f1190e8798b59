/* SPDX-License-Identifier: MIT */
/*
 * The queue is held to a model of its own: users' last turns and waiting jobs in plain arrays, and the rule of job.h
 * taken by its words. Random queues with random histories must come out in the model's order, and every position that
 * was told before must be the place at which the job then came.
 */
#include "supervisor/queue.h"
#include "supervisor/request.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define MAX_JOBS 24
#define SEEDS    300

static struct queue q;

static void
setup(void)
{
        queue_init(&q);
}

static void
teardown(void)
{
        queue_deinit(&q);
}

static struct job *
make_job(uid_t uid)
{
        struct variant variant = {.mode = 1, .workers = 2, .count = 1000};
        AUTO_JSON json_t *request = json_object();
        struct plan plan;
        struct job *job;

        ck_assert_int_eq(plan_init_single(&plan, &variant, 0), 0);
        job = job_new(NULL, uid, "Run", request, &plan);
        ck_assert_ptr_nonnull(job);
        return job;
}

static struct job *
add_job(uid_t uid)
{
        struct job *job = make_job(uid);

        queue_add(&q, job);
        return job;
}

static struct job *
end_next(void)
{
        struct job *job = queue_next(&q);

        if (job) {
                job->state = JOB_DONE;
                queue_end(&q, job);
        }
        return job;
}

/* ── one job ── */

/* What a later daemon reads is what was written: of a job that runs, and of one that has ended. */
START_TEST(job_survives_its_daemon)
{
        struct job *job = make_job(12345), *again;
        AUTO_JSON json_t *json = NULL;

        job->state = _i == 0 ? JOB_RUNNING : JOB_FAILED;
        job->reason = _i == 0 ? NULL : strdup("it is \"so\"");
        job->result = _i == 0 ? NULL : json_pack("{s:i}", "done", 7);
        job->detached = _i == 0;
        json = job_to_json(job);
        ck_assert_int_eq(job_from_json(json, &again), 0);
        ck_assert_str_eq(again->id, job->id);
        ck_assert_str_eq(again->user, "12345");
        ck_assert_str_eq(again->method, "Run");
        ck_assert_str_eq(again->summary, job->summary);
        ck_assert_uint_eq(again->uid, 12345);
        ck_assert_int_eq(again->state, job->state);
        ck_assert_int_eq(again->detached, job->detached);
        ck_assert(again->submitted == job->submitted);
        ck_assert(_i == 0 ? again->reason == NULL : strcmp(again->reason, job->reason) == 0);
        ck_assert_int_eq(json_equal(again->result, job->result) || _i == 0, 1);
        ck_assert(_i == 0 ? json_equal(again->request, job->request) : again->request == NULL);
        job_free(job);
        job_free(again);
}
END_TEST

/* Anything missing or of another type: no job. */
START_TEST(job_of_broken_json_is_none)
{
        struct job *job = make_job(0), *again = NULL;
        AUTO_JSON json_t *whole = job_to_json(job);
        const char *key;
        json_t *value;

        json_object_foreach(whole, key, value)
        {
                AUTO_JSON json_t *broken = json_copy(whole);

                json_object_del(broken, key);
                ck_assert_msg(job_from_json(broken, &again) == -EBADMSG, "without %s", key);
                if (strcmp(key, "reason") == 0 || strcmp(key, "request") == 0 || strcmp(key, "result") == 0)
                        continue; /* these may be null */
                json_object_set_new(broken, key, json_null());
                ck_assert_msg(job_from_json(broken, &again) == -EBADMSG, "%s null", key);
        }
        json_object_set_new(whole, "state", json_string("dreaming"));
        ck_assert_int_eq(job_from_json(whole, &again), -EBADMSG);
        json_object_set_new(whole, "state", json_string("done"));
        ck_assert_int_eq(job_from_json(whole, &again), 0);
        job_free(again);
        json_object_set_new(whole, "id", json_string("0123456789abcdef0123456789abcdef0"));
        ck_assert_int_eq(job_from_json(whole, &again), -EBADMSG);
        job_free(job);
}
END_TEST

/* The last word about an id counts. */
START_TEST(restored_job_replaces_what_was_known)
{
        struct job *first = make_job(0), *second = make_job(0), *other = make_job(0);

        memcpy(second->id, first->id, sizeof(second->id));
        second->state = other->state = JOB_DONE;
        queue_restore(&q, first);
        queue_restore(&q, other);
        queue_restore(&q, second);
        ck_assert_uint_eq(q.n_ended, 2);
        ck_assert_ptr_eq(queue_find(&q, second->id), second);
        queue_trim(&q, 1);
        ck_assert_uint_eq(q.n_ended, 1);
        ck_assert_ptr_eq(queue_find(&q, second->id), second);
}
END_TEST

START_TEST(job_is_made)
{
        static const char id[] = "0123456789abcdef0123456789abcdef";
        struct variant variant = {.mode = 1, .workers = 2, .count = 1000};
        json_t *request = json_object();
        struct plan plan;
        struct job *job;

        ck_assert_int_eq(plan_init_single(&plan, &variant, 5), 0);
        job = job_new(id, 0, "Run", request, &plan);
        ck_assert_str_eq(job->id, id);
        ck_assert_str_eq(job->user, "root");
        ck_assert_str_eq(job->method, "Run");
        ck_assert_str_eq(job->summary, "calc × 1000 · process · 2 workers");
        ck_assert_ptr_eq(job->request, request);
        ck_assert_uint_eq(request->refcount, 2);
        ck_assert_uint_eq(job->plan.deadline_ns, 5);
        ck_assert_uint_eq(job->plan.n_steps, 1);
        ck_assert_ptr_null(plan.variants);
        ck_assert_double_gt(job->submitted, 1.6e9);
        ck_assert(TAILQ_EMPTY(&job->watchers));
        job_free(job);
        ck_assert_uint_eq(request->refcount, 1);
        json_decref(request);
        job_free(NULL);
}
END_TEST

START_TEST(user_without_a_name_is_a_number)
{
        struct job *job = make_job(3999999999u);

        ck_assert_str_eq(job->user, "3999999999");
        job_free(job);
}
END_TEST

START_TEST(ids_are_well_formed_and_unique)
{
        static char ids[1000][JOB_ID_SIZE];

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
                struct job *job = make_job(0);

                ck_assert(request_id_is_valid(job->id));
                memcpy(ids[i], job->id, JOB_ID_SIZE);
                job_free(job);
        }
        qsort(ids, ARRAY_SIZE(ids), JOB_ID_SIZE, (int (*)(const void *, const void *))strcmp);
        for (size_t i = 1; i < ARRAY_SIZE(ids); i++)
                ck_assert_str_ne(ids[i - 1], ids[i]);
}
END_TEST

START_TEST(states_have_names)
{
        static const char *const names[] = {"queued", "running", "done", "failed", "cancelled", "interrupted", "lost"};

        for (int state = JOB_QUEUED; state <= JOB_LOST; state++) {
                struct job job = {.state = (enum job_state)state};

                ck_assert_str_eq(job_state_name(job.state), names[state]);
                ck_assert_int_eq(job_has_ended(&job), state != JOB_QUEUED && state != JOB_RUNNING);
        }
}
END_TEST

/* ── the queue ── */

START_TEST(jobs_of_one_user_come_in_order)
{
        struct job *jobs[5];

        for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
                jobs[i] = add_job(7);
        for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
                ck_assert_uint_eq(queue_position(&q, jobs[4]), 5 - i);
                ck_assert_ptr_eq(end_next(), jobs[i]);
                ck_assert_uint_eq(queue_position(&q, jobs[i]), 0);
        }
        ck_assert_ptr_null(end_next());
        ck_assert_ptr_null(q.running);
}
END_TEST

START_TEST(users_take_turns)
{
        struct job *a[3], *b[2], *c;

        for (size_t i = 0; i < 3; i++)
                a[i] = add_job(1);
        for (size_t i = 0; i < 2; i++)
                b[i] = add_job(2);
        ck_assert_ptr_eq(end_next(), a[0]);
        c = add_job(3); /* new, so nobody's last turn is longer ago; but the other who had none was here first */
        ck_assert_ptr_eq(end_next(), b[0]);
        ck_assert_ptr_eq(end_next(), c);
        ck_assert_ptr_eq(end_next(), a[1]);
        ck_assert_ptr_eq(end_next(), b[1]);
        ck_assert_ptr_eq(end_next(), a[2]);
}
END_TEST

START_TEST(many_jobs_do_not_hold_up_another_user)
{
        struct job *late;

        for (int i = 0; i < 50; i++)
                add_job(1);
        end_next();
        late = add_job(2);
        ck_assert_uint_eq(queue_position(&q, late), 1);
        ck_assert_ptr_eq(end_next(), late);
}
END_TEST

START_TEST(running_job_is_found_and_has_no_position)
{
        struct job *first = add_job(1), *second = add_job(1), *done;

        ck_assert_uint_eq(q.n_waiting, 2);
        done = end_next();
        ck_assert_ptr_eq(queue_next(&q), second);
        ck_assert_ptr_eq(q.running, second);
        ck_assert_int_eq(second->state, JOB_RUNNING);
        ck_assert_uint_gt(second->started_ns, 0);
        ck_assert_uint_eq(queue_position(&q, second), 0);
        first = add_job(2);
        ck_assert_ptr_eq(queue_find(&q, first->id), first);
        ck_assert_ptr_eq(queue_find(&q, second->id), second);
        ck_assert_ptr_eq(queue_find(&q, done->id), done);
        ck_assert_ptr_null(queue_find(&q, "0123456789abcdef0123456789abcdef"));
        ck_assert_uint_eq(q.n_waiting, 1);
        ck_assert_uint_eq(queue_length_of(&q, 1), 0);
        ck_assert_uint_eq(queue_length_of(&q, 2), 1);
}
END_TEST

START_TEST(waiting_job_can_end)
{
        struct job *a = add_job(1), *b = add_job(1), *c = add_job(1);

        b->state = JOB_CANCELLED;
        queue_end(&q, b);
        ck_assert_uint_eq(q.jobs_ended, 1);
        ck_assert_uint_gt(b->ended_ns, 0);
        ck_assert_uint_eq(queue_position(&q, c), 2);
        ck_assert_ptr_eq(end_next(), a);
        ck_assert_ptr_eq(end_next(), c);
        ck_assert_uint_eq(q.jobs_ended, 3);
}
END_TEST

START_TEST(turns_of_many_users_are_bounded)
{
        for (uid_t uid = 1; uid <= 1100; uid++) {
                add_job(uid);
                end_next();
        }
        ck_assert_uint_eq(q.n_turns, 1024);
        /* The latest ones are still known: who never had a turn is before them. */
        add_job(1100);
        ck_assert_uint_eq(queue_position(&q, add_job(5000)), 1);
}
END_TEST

/* ── the model ── */

#define USERS 5

struct model {
        unsigned last_turn[USERS], turn;
        unsigned n;
        struct job *jobs[MAX_JOBS];
};

static unsigned
model_first(const struct model *m, unsigned uid)
{
        for (unsigned i = 0; i < m->n; i++) {
                if (m->jobs[i]->uid == uid)
                        return i;
        }
        return m->n;
}

/* The oldest job of the user whose last turn is longest ago; of those who never had one, the one who came first. */
static struct job *
model_next(struct model *m)
{
        unsigned best = m->n;
        struct job *job;

        for (unsigned uid = 0; uid < USERS; uid++) {
                unsigned first = model_first(m, uid);

                if (first == m->n)
                        continue;
                if (best == m->n || m->last_turn[uid] < m->last_turn[m->jobs[best]->uid] ||
                    (m->last_turn[uid] == m->last_turn[m->jobs[best]->uid] && first < best))
                        best = first;
        }
        job = m->jobs[best];
        m->last_turn[job->uid] = ++m->turn;
        memmove(&m->jobs[best], &m->jobs[best + 1], (--m->n - best) * sizeof(job));
        return job;
}

static unsigned
random_below(unsigned *seed, unsigned n)
{
        /* An LCG's high bits; neighbouring seeds soon part. */
        *seed = *seed * 1664525u + 1013904223u;
        return (*seed >> 16) % n;
}

/* A queue in which some have had turns and some jobs wait. */
static void
random_queue(struct model *m, unsigned seed)
{
        unsigned users = 1 + random_below(&seed, USERS), steps = random_below(&seed, 60);
        unsigned adds = 2 + random_below(&seed, 9); /* of ten steps; in some queues nobody had a turn yet */

        memset(m, 0, sizeof(*m));
        for (unsigned i = 0; i < steps; i++) {
                if (m->n < MAX_JOBS && random_below(&seed, 10) < adds)
                        m->jobs[m->n++] = add_job(random_below(&seed, users));
                else if (m->n > 0)
                        ck_assert_ptr_eq(end_next(), model_next(m));
        }
}

START_TEST(order_is_the_models_and_positions_tell_it)
{
        unsigned positions[MAX_JOBS], n;
        struct job *jobs[MAX_JOBS];
        struct model m;

        random_queue(&m, (unsigned)_i + 1);
        n = m.n;
        memcpy(jobs, m.jobs, sizeof(jobs));
        ck_assert_uint_eq(q.n_waiting, n);
        for (unsigned i = 0; i < n; i++)
                positions[i] = queue_position(&q, jobs[i]);
        for (unsigned place = 1; place <= n; place++) {
                struct job *next = end_next();

                ck_assert_ptr_eq(next, model_next(&m));
                for (unsigned i = 0; i < n; i++) {
                        if (jobs[i] == next)
                                ck_assert_msg(positions[i] == place, "position %u was told, the place is %u of %u",
                                              positions[i], place, n);
                }
        }
        ck_assert_ptr_null(queue_next(&q));
}
END_TEST

/* ── what is kept ── */

static unsigned
ended(void)
{
        struct job *job;
        unsigned n = 0;

        TAILQ_FOREACH(job, &q.ended, entry)
        n++;
        return n;
}

static void
end_five(struct job *jobs[5])
{
        for (size_t i = 0; i < 5; i++) {
                jobs[i] = add_job(1);
                end_next();
        }
}

START_TEST(fetched_results_are_forgotten_first)
{
        struct job *jobs[5];

        end_five(jobs);
        jobs[1]->fetched = jobs[3]->fetched = true;
        queue_trim(&q, 5);
        ck_assert_uint_eq(ended(), 5);
        queue_trim(&q, 4);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), jobs[0]);
        ck_assert_ptr_eq(TAILQ_NEXT(jobs[0], entry), jobs[2]);
        queue_trim(&q, 2);
        ck_assert_uint_eq(ended(), 2);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), jobs[2]);
        ck_assert_ptr_eq(TAILQ_NEXT(jobs[2], entry), jobs[4]);
        queue_trim(&q, 0);
        ck_assert_uint_eq(ended(), 0);
}
END_TEST

/* Who has the most loses first, so a flood pushes out its own. */
START_TEST(nobody_pushes_out_the_results_of_others)
{
        struct job *alice[2], *bob, *flood[40];

        alice[0] = add_job(1);
        end_next();
        bob = add_job(2);
        end_next();
        alice[1] = add_job(1);
        end_next();
        alice[0]->fetched = bob->fetched = true;
        for (size_t i = 0; i < ARRAY_SIZE(flood); i++) {
                flood[i] = add_job(3);
                end_next();
                queue_trim(&q, 8);
        }
        ck_assert_uint_eq(ended(), 8);
        ck_assert_ptr_eq(queue_find(&q, alice[0]->id), alice[0]);
        ck_assert_ptr_eq(queue_find(&q, alice[1]->id), alice[1]);
        ck_assert_ptr_eq(queue_find(&q, bob->id), bob);
        for (size_t i = 35; i < ARRAY_SIZE(flood); i++)
                ck_assert_ptr_eq(queue_find(&q, flood[i]->id), flood[i]);
        /* Down to as many as others have, then in turns: of those with as many, whose first ended earliest. */
        queue_trim(&q, 5);
        ck_assert_ptr_eq(queue_find(&q, flood[38]->id), flood[38]);
        queue_trim(&q, 4);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), bob); /* of her two, the fetched one went */
        ck_assert_ptr_eq(TAILQ_NEXT(bob, entry), alice[1]);
        queue_trim(&q, 3);
        ck_assert_ptr_eq(queue_find(&q, flood[39]->id), flood[39]);
        ck_assert_uint_eq(ended(), 3);
        queue_trim(&q, 2);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), alice[1]);
        queue_trim(&q, 0);
        ck_assert_uint_eq(ended(), 0);
}
END_TEST

/* The user with the most goes on losing, though somebody waits for all that he has but one. */
START_TEST(watched_jobs_count_as_their_owners)
{
        struct watcher w[2] = {0};
        struct job *jobs[5], *other;

        other = add_job(2);
        end_next();
        end_five(jobs);
        TAILQ_INSERT_TAIL(&jobs[0]->watchers, &w[0], entry);
        TAILQ_INSERT_TAIL(&jobs[1]->watchers, &w[1], entry);
        queue_trim(&q, 3);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), other);
        ck_assert_uint_eq(ended(), 3);
        queue_trim(&q, 1);
        ck_assert_uint_eq(ended(), 2);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), jobs[0]);
        TAILQ_REMOVE(&jobs[0]->watchers, &w[0], entry);
        TAILQ_REMOVE(&jobs[1]->watchers, &w[1], entry);
}
END_TEST

START_TEST(jobs_with_watchers_are_kept)
{
        struct watcher first = {0}, second = {0};
        struct job *jobs[5];

        end_five(jobs);
        jobs[1]->fetched = true;
        TAILQ_INSERT_TAIL(&jobs[0]->watchers, &first, entry);
        TAILQ_INSERT_TAIL(&jobs[1]->watchers, &second, entry);
        queue_trim(&q, 3);
        ck_assert_uint_eq(ended(), 3);
        queue_trim(&q, 1);
        ck_assert_uint_eq(ended(), 2);
        ck_assert_ptr_eq(queue_find(&q, jobs[0]->id), jobs[0]);
        ck_assert_ptr_eq(queue_find(&q, jobs[1]->id), jobs[1]);
        TAILQ_REMOVE(&jobs[0]->watchers, &first, entry);
        TAILQ_REMOVE(&jobs[1]->watchers, &second, entry);
        queue_trim(&q, 1);
        ck_assert_ptr_eq(TAILQ_FIRST(&q.ended), jobs[0]);
        ck_assert_uint_eq(ended(), 1);
}
END_TEST

START_TEST(youngest_result_that_nobody_fetched)
{
        struct job *jobs[5];

        ck_assert_uint_eq(queue_youngest_unfetched_ns(&q), 0);
        end_five(jobs);
        ck_assert_uint_eq(queue_youngest_unfetched_ns(&q), jobs[4]->ended_ns);
        jobs[4]->fetched = true;
        ck_assert_uint_eq(queue_youngest_unfetched_ns(&q), jobs[3]->ended_ns);
        for (size_t i = 0; i < 5; i++)
                jobs[i]->fetched = true;
        ck_assert_uint_eq(queue_youngest_unfetched_ns(&q), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("job");
        TCase *tc = tcase_create("job");

        tcase_set_timeout(tc, 30);
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, job_is_made);
        tcase_add_loop_test(tc, job_survives_its_daemon, 0, 2);
        tcase_add_test(tc, job_of_broken_json_is_none);
        tcase_add_test(tc, restored_job_replaces_what_was_known);
        tcase_add_test(tc, user_without_a_name_is_a_number);
        tcase_add_test(tc, ids_are_well_formed_and_unique);
        tcase_add_test(tc, states_have_names);
        tcase_add_test(tc, jobs_of_one_user_come_in_order);
        tcase_add_test(tc, users_take_turns);
        tcase_add_test(tc, many_jobs_do_not_hold_up_another_user);
        tcase_add_test(tc, running_job_is_found_and_has_no_position);
        tcase_add_test(tc, waiting_job_can_end);
        tcase_add_test(tc, turns_of_many_users_are_bounded);
        tcase_add_loop_test(tc, order_is_the_models_and_positions_tell_it, 0, SEEDS);
        tcase_add_test(tc, fetched_results_are_forgotten_first);
        tcase_add_test(tc, nobody_pushes_out_the_results_of_others);
        tcase_add_test(tc, watched_jobs_count_as_their_owners);
        tcase_add_test(tc, jobs_with_watchers_are_kept);
        tcase_add_test(tc, youngest_result_that_nobody_fetched);
        suite_add_tcase(suite, tc);
        return run_suite(suite);
}
