/* SPDX-License-Identifier: MIT */
/* Loops over the table of keys wherever it can, so that a new key is tested by being there. */
#include "config/config.h"

#include "shared/base.h"
#include "shared/log.h"
#include "shared/quantity.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>

enum type { TYPE_COUNT, TYPE_DURATION, TYPE_MODE, TYPE_BOOL, TYPE_LEVEL, TYPE_STRING, TYPE_USERS, TYPE_GROUPS };
enum { RELOAD_LIVE, RELOAD_RESTART };

static const struct row {
        const char *section, *key, *name;
        size_t offset;
        enum type type;
        uint64_t min, max;
        const char *def;
        int reload;
} rows[] = {
#define X(section, key, member, type, min, max, def, reload, help)                                                  \
        {#section, #key, #section "." #key, offsetof(struct config, member), TYPE_##type, min, max, def,            \
         RELOAD_##reload},
        CONFIG_KEYS(X)
#undef X
};

/* ── values of any key ── */

static const void *
member(const struct row *row, const struct config *c)
{
        return (const char *)c + row->offset;
}

static bool
is_list(const struct row *row)
{
        return row->type == TYPE_USERS || row->type == TYPE_GROUPS;
}

/* "1,2,3" */
static char *
list_text(const struct id_list *list)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        for (size_t i = 0; i < list->n; i++)
                fprintf(f, "%s%u", i > 0 ? "," : "", list->ids[i]);
        ck_assert_int_eq(fclose(f), 0);
        return text;
}

/* The value in the form in which the tests write it. */
static char *
value_text(const struct row *row, const struct config *c)
{
        const void *m = member(row, c);
        char *text = NULL;
        int n = -1;

        switch (row->type) {
        case TYPE_COUNT:
                n = asprintf(&text, "%" PRIu64, *(const uint64_t *)m);
                break;
        case TYPE_DURATION:
                n = asprintf(&text, "%" PRIu64 "ns", *(const uint64_t *)m);
                break;
        case TYPE_MODE:
                n = asprintf(&text, "%04" PRIo64, *(const uint64_t *)m);
                break;
        case TYPE_BOOL:
                n = asprintf(&text, "%s", *(const bool *)m ? "yes" : "no");
                break;
        case TYPE_LEVEL:
                n = asprintf(&text, "%s", log_level_name((enum log_level) * (const int *)m));
                break;
        case TYPE_STRING:
                n = asprintf(&text, "%s", *(char *const *)m);
                break;
        case TYPE_USERS:
        case TYPE_GROUPS:
                return list_text(m);
        }
        ck_assert_int_ge(n, 0);
        return text;
}

/* A number of a key, or a text of that length, or a list of so many, in the form of value_text(). */
static char *
number_text(const struct row *row, uint64_t n)
{
        char *text = NULL;

        switch (row->type) {
        case TYPE_COUNT:
                ck_assert_int_gt(asprintf(&text, "%" PRIu64, n), 0);
                break;
        case TYPE_DURATION:
                ck_assert_int_gt(asprintf(&text, "%" PRIu64 "ns", n), 0);
                break;
        case TYPE_MODE:
                ck_assert_int_gt(asprintf(&text, "%04" PRIo64, n), 0);
                break;
        case TYPE_STRING:
                text = calloc(1, n + 1);
                memset(text, 'a', n);
                if (n > 0 && strcmp(row->key, "socket") == 0)
                        text[0] = '/';
                break;
        case TYPE_USERS:
        case TYPE_GROUPS:
                text = calloc(1, 2 * n + 1);
                for (uint64_t i = 0; i < n; i++)
                        memcpy(text + 2 * i, i + 1 < n ? "7," : "7", i + 1 < n ? 2 : 1);
                break;
        case TYPE_BOOL:
        case TYPE_LEVEL:
                ck_abort_msg("%s has no range", row->name);
        }
        return text;
}

static bool
has_range(const struct row *row)
{
        return row->type != TYPE_BOOL && row->type != TYPE_LEVEL;
}

/* An allowed value that is not the one of c. */
static char *
other_text(const struct row *row, const struct config *c)
{
        AUTO_FREE char *now = value_text(row, c);
        char *other;

        if (row->type == TYPE_BOOL)
                return strdup(strcmp(now, "yes") == 0 ? "no" : "yes");
        if (row->type == TYPE_LEVEL)
                return strdup(strcmp(now, "error") == 0 ? "debug" : "error");
        other = number_text(row, row->max);
        if (strcmp(other, now) == 0) {
                free(other);
                other = number_text(row, row->min);
        }
        return other;
}

static void
set(struct config *c, const char *name, const char *value)
{
        AUTO_FREE char *message = NULL;
        int r = config_set(c, name, value, &message);

        ck_assert_msg(r == 0, "%s = %s: %s", name, value, message);
        ck_assert_ptr_null(message);
}

/* The defaults, with room for every key to move through all of its range: no other key limits it. */
static void
init_roomy(struct config *c)
{
        ck_assert_int_eq(config_init(c), 0);
        set(c, "pool.max_workers", "256");
        set(c, "jobs.queue", "100000");
        set(c, "clients.connections", "100000");
}

/* Moves every key away from the value that it has in `from`; c is roomy. */
static void
set_all_others(struct config *c, const struct config *from)
{
        static const char *const keys_with_a_limit[] = {"processes", "threads", "queue_per_user",
                                                         "connections_per_user"};
        static const char *const keys_that_limit[] = {"max_workers", "queue", "connections"};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *other = other_text(&rows[i], from);

                for (size_t j = 0; j < ARRAY_SIZE(keys_with_a_limit); j++)
                        if (strcmp(rows[i].key, keys_with_a_limit[j]) == 0) {
                                free(other);
                                other = number_text(&rows[i], rows[i].min + 1);
                        }
                for (size_t j = 0; j < ARRAY_SIZE(keys_that_limit); j++)
                        if (strcmp(rows[i].key, keys_that_limit[j]) == 0) {
                                free(other);
                                other = number_text(&rows[i], rows[i].max - 1);
                        }
                set(c, rows[i].name, other);

                AUTO_FREE char *before = value_text(&rows[i], from), *after = value_text(&rows[i], c);

                ck_assert_str_ne(before, after);
        }
}

/* ── files without a name ── */

struct temp {
        FILE *f;
        char path[64];
};

static void
temp_close(struct temp *t)
{
        cleanup_fclose(&t->f);
}

#define AUTO_TEMP __attribute__((cleanup(temp_close)))

static struct temp
temp_write(const char *text, size_t len)
{
        int fd = memfd_create("concd.conf", MFD_CLOEXEC);
        struct temp t = {.f = fdopen(fd, "w+")};

        ck_assert_ptr_nonnull(t.f);
        snprintf(t.path, sizeof(t.path), "/proc/self/fd/%d", fd);
        ck_assert_uint_eq(fwrite(text, 1, len, t.f), len);
        ck_assert_int_eq(fflush(t.f), 0);
        return t;
}

static int
load(struct config *c, const char *text, char **ret_message)
{
        AUTO_TEMP struct temp t = temp_write(text, strlen(text));
        char *message = NULL, *tail = NULL;
        int r = config_load(c, t.path, &message);

        /* Without the path, which differs from run to run. */
        if (message) {
                ck_assert_msg(strncmp(message, t.path, strlen(t.path)) == 0, "%s", message);
                tail = strdup(message + strlen(t.path));
                free(message);
        }
        *ret_message = tail;
        return r;
}

static void
load_well(struct config *c, const char *text)
{
        AUTO_FREE char *message = NULL;
        int r = load(c, text, &message);

        ck_assert_msg(r == 0, "%s: %s", text, message);
        ck_assert_ptr_null(message);
}

/* ── the table ── */

START_TEST(table_makes_sense)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                ck_assert_uint_le(rows[i].min, rows[i].max);
                for (size_t j = 0; j < i; j++)
                        ck_assert_str_ne(rows[i].name, rows[j].name);
        }
}
END_TEST

START_TEST(default_is_what_the_table_says)
{
        const struct row *row = &rows[_i];
        struct config c, again;

        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_int_eq(config_init(&again), 0);
        set(&again, row->name, row->def);

        AUTO_FREE char *text = value_text(row, &c), *set_text = value_text(row, &again);

        ck_assert_str_eq(text, set_text);
        if (row->type == TYPE_STRING || row->type == TYPE_BOOL || row->type == TYPE_LEVEL || row->type == TYPE_MODE)
                ck_assert_str_eq(text, row->def);
        config_deinit(&c);
        config_deinit(&again);
}
END_TEST

START_TEST(some_defaults_by_hand)
{
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_str_eq(c.instance, "system");
        ck_assert_str_eq(c.socket, "/run/concd/concd.sock");
        ck_assert_uint_eq(c.socket_mode, 0660);
        ck_assert_int_eq(c.log_level, LOG_LEVEL_INFO);
        ck_assert_uint_eq(c.idle_exit_ns, 0);
        ck_assert_uint_eq(c.max_workers, 64);
        ck_assert(c.parked_thread);
        ck_assert_uint_eq(c.ledger_chunks, 16384);
        ck_assert_uint_eq(c.keep_unfetched_ns, 15 * 60 * NS_PER_S);
        ck_assert_uint_eq(c.request_timeout_ns, 30 * NS_PER_S);
        config_deinit(&c);
}
END_TEST

/* Tries a value both ways, with --set and in a file. */
static void
expect(const struct row *row, const char *value, bool is_allowed)
{
        AUTO_FREE char *text = NULL, *given = NULL;

        ck_assert_int_gt(asprintf(&text, "# first\n\n[%s]\n%s = %s\n", row->section, row->key, value), 0);
        ck_assert_int_gt(asprintf(&given, "%s: given \"%s\", allowed ", row->name, value), 0);
        for (int from_file = 0; from_file < 2; from_file++) {
                AUTO_FREE char *message = NULL;
                struct config c, before;

                init_roomy(&c);
                before = c;

                int r = from_file ? load(&c, text, &message) : config_set(&c, row->name, value, &message);

                if (is_allowed) {
                        AUTO_FREE char *now = value_text(row, &c);

                        ck_assert_msg(r == 0, "%s = %s: %s", row->name, value, message);
                        ck_assert_str_eq(now, value);
                } else {
                        ck_assert_msg(r == -EINVAL, "%s = %s: %d", row->name, value, r);
                        ck_assert_mem_eq(&c, &before, sizeof(c));
                        ck_assert_ptr_nonnull(message);

                        const char *tail = message;

                        if (from_file) {
                                ck_assert_msg(strncmp(tail, ":4: ", 4) == 0, "%s", message);
                                tail += 4;
                        }
                        ck_assert_msg(strncmp(tail, given, strlen(given)) == 0, "%s", message);
                        ck_assert_str_ne(tail + strlen(given), "");
                }
                config_deinit(&c);
        }
}

START_TEST(range_includes_both_ends_and_nothing_beyond)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct row *row = &rows[i];

                if (!has_range(row))
                        continue;

                AUTO_FREE char *min = number_text(row, row->min), *max = number_text(row, row->max);
                AUTO_FREE char *above = number_text(row, row->max + 1);

                expect(row, min, true);
                expect(row, max, true);
                expect(row, above, false);
                if (row->min > 0) {
                        AUTO_FREE char *below = number_text(row, row->min - 1);

                        expect(row, below, false);
                }
        }
}
END_TEST

START_TEST(nonsense_is_refused)
{
        static const char *const nonsense[] = {"", "x", "-1", "+1", "1.5", "1 2", "0x1", "NaN", "1e99",
                                               "99999999999999999999", "yes please", "YES", "true", "1e3x",
                                               "\u00b5", "none", "8", "0999"};
        const struct row *row = &rows[_i];

        for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
                bool is_number = strcmp(nonsense[i], "8") == 0 || strcmp(nonsense[i], "0999") == 0;
                bool is_word = nonsense[i][0] != '\0' && !strpbrk(nonsense[i], " +.\u00b5");

                if ((row->type == TYPE_COUNT || is_list(row)) && is_number)
                        continue;
                if ((is_list(row) || (row->type == TYPE_STRING && row->min == 0)) && nonsense[i][0] == '\0')
                        continue;
                if (strcmp(row->key, "instance") == 0 && is_word)
                        continue;
                expect(row, nonsense[i], false);
        }
}
END_TEST

START_TEST(flags_and_levels_take_their_words)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (rows[i].type == TYPE_BOOL) {
                        expect(&rows[i], "yes", true);
                        expect(&rows[i], "no", true);
                }
                if (rows[i].type == TYPE_LEVEL) {
                        for (int level = 0; level < LOG_LEVELS; level++)
                                expect(&rows[i], log_level_name((enum log_level)level), true);
                        expect(&rows[i], "INFO", false);
                        expect(&rows[i], "warn", false);
                        expect(&rows[i], "0", false);
                }
        }
}
END_TEST

START_TEST(durations_need_a_unit)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *bare = NULL;

                if (rows[i].type != TYPE_DURATION)
                        continue;
                ck_assert_int_gt(asprintf(&bare, "%" PRIu64, MAX(rows[i].min, 1u)), 0);
                expect(&rows[i], bare, false);
        }
}
END_TEST

START_TEST(counts_take_exponents_and_factors)
{
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        set(&c, "clients.max_unread", "1e6");
        ck_assert_uint_eq(c.max_unread, 1000000);
        set(&c, "clients.max_unread", "1.5M");
        ck_assert_uint_eq(c.max_unread, 1500000);
        set(&c, "daemon.idle_exit", "1.5min");
        ck_assert_uint_eq(c.idle_exit_ns, 90 * NS_PER_S);
        set(&c, "daemon.socket_mode", "600");
        ck_assert_uint_eq(c.socket_mode, 0600);
        config_deinit(&c);
}
END_TEST

START_TEST(instance_has_only_name_characters)
{
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        for (int ch = 1; ch < 256; ch++) {
                AUTO_FREE char *message = NULL;
                const char name[] = {'a', (char)ch, '\0'};
                bool is_good = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
                               ch == '-' || ch == '_';

                ck_assert_msg(config_set(&c, "daemon.instance", name, &message) == (is_good ? 0 : -EINVAL),
                              "character %d", ch);
                if (is_good)
                        ck_assert_str_eq(c.instance, name);
        }
        config_deinit(&c);
}
END_TEST

START_TEST(socket_is_an_absolute_path)
{
        static const char *const bad[] = {"concd.sock", "./concd.sock", "@concd", "~/concd.sock", " /concd.sock"};
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_FREE char *message = NULL;

                ck_assert_int_eq(config_set(&c, "daemon.socket", bad[i], &message), -EINVAL);
                ck_assert_ptr_nonnull(strstr(message, "allowed an absolute path"));
        }
        set(&c, "daemon.socket", "/tmp/with blank");
        ck_assert_str_eq(c.socket, "/tmp/with blank");
        config_deinit(&c);
}
END_TEST

/* ── lists of users and groups ── */

static const struct {
        const char *text;
        bool is_good;
        size_t n;
        uint32_t first, last;
} lists[] = {
        {"", true, 0, 0, 0},
        {" ", true, 0, 0, 0},
        {"root", true, 1, 0, 0},
        {"0", true, 1, 0, 0},
        {"0007", true, 1, 7, 7},
        {"7, 8 ,9", true, 3, 7, 9},
        {"root,12", true, 2, 0, 12},
        {"\t12\t,\troot\t", true, 2, 12, 0},
        {"4000000000", true, 1, 4000000000, 4000000000}, /* nobody has it, which is allowed */
        {"4294967294", true, 1, 4294967294, 4294967294},
        {"4294967295", false, 0, 0, 0}, /* (uid_t)-1 means "none" */
        {"4294967296", false, 0, 0, 0},
        {"18446744073709551616", false, 0, 0, 0},
        {",", false, 0, 0, 0},
        {"root,", false, 0, 0, 0},
        {",root", false, 0, 0, 0},
        {"root,,7", false, 0, 0, 0},
        {"root 7", false, 0, 0, 0},
        {"root;7", false, 0, 0, 0},
        {"-1", false, 0, 0, 0},
        {"no-such-name-here", false, 0, 0, 0},
        {"7,no-such-name-here", false, 0, 0, 0},
        {"ROOT", false, 0, 0, 0},
};

START_TEST(list_takes_names_and_numbers)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *message = NULL;
                const struct id_list *list;
                struct config c;
                int r;

                if (!is_list(&rows[i]))
                        continue;
                ck_assert_int_eq(config_init(&c), 0);
                list = member(&rows[i], &c);
                ck_assert_uint_eq(list->n, 0);
                set(&c, rows[i].name, "5");
                r = config_set(&c, rows[i].name, lists[_i].text, &message);
                ck_assert_msg(r == (lists[_i].is_good ? 0 : -EINVAL), "%s: %s", lists[_i].text, message);
                if (!lists[_i].is_good) {
                        ck_assert_uint_eq(list->n, 1);
                        ck_assert_uint_eq(list->ids[0], 5);
                } else {
                        ck_assert_uint_eq(list->n, lists[_i].n);
                        if (list->n > 0) {
                                ck_assert_uint_eq(list->ids[0], lists[_i].first);
                                ck_assert_uint_eq(list->ids[list->n - 1], lists[_i].last);
                        }
                }
                config_deinit(&c);
        }
}
END_TEST

/* What only one of the two databases knows. */
START_TEST(users_are_no_groups)
{
        struct passwd *user;
        struct group *group;
        struct id_list list;
        char *why = NULL;

        setpwent();
        while ((user = getpwent())) {
                bool has_group = getgrnam(user->pw_name) != NULL;

                ck_assert_int_eq(id_list_parse(user->pw_name, ID_USER, 1, &list, &why), 0);
                free(list.ids);
                ck_assert_int_eq(id_list_parse(user->pw_name, ID_GROUP, 1, &list, &why), has_group ? 0 : -EINVAL);
                if (has_group)
                        free(list.ids);
                else
                        free(why);
        }
        endpwent();
        setgrent();
        while ((group = getgrent())) {
                gid_t gid = group->gr_gid;
                AUTO_FREE char *name = strdup(group->gr_name);

                ck_assert_int_eq(id_list_parse(name, ID_GROUP, 1, &list, &why), 0);
                ck_assert_uint_eq(list.ids[0], gid);
                free(list.ids);
        }
        endgrent();
}
END_TEST

/* ── what a file may look like ── */

static const struct {
        const char *text, *threads;
} good_files[] = {
        {"", "0"},
        {"\n\n \t \n", "0"},
        {"# nothing\n; nothing\n  # nothing\n", "0"},
        {"[pool]\n", "0"},
        {"[pool]\nthreads=3", "3"},
        {"[pool]\nthreads = 3\n", "3"},
        {"[pool]\nthreads: 3\n", "3"},
        {"[pool]\n\t  threads\t=\t3\t \n", "3"},
        {"[pool]\nthreads = 3 ; three\n", "3"},
        {"[pool] ; workers\nthreads = 3\n", "3"},
        {"[pool] # workers\nthreads = 3\n", "3"},
        {"[pool]\r\nthreads = 3\r\n", "3"},
        {"\xef\xbb\xbf[pool]\nthreads = 3\n", "3"},
        {"[pool]\nprocesses = 2\n    threads = 3\n", "3"}, /* not a continuation of the line above */
        {"[pool]\nprocesses = 2\n[jobs]\nqueue = 20\n[pool]\nthreads = 3\n", "3"},
        {"[pool]\nthreads = 100\nmax_workers = 100\n", "100"}, /* the order within a file does not matter */
};

START_TEST(good_file_is_read)
{
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        load_well(&c, good_files[_i].text);
        ck_assert_uint_eq(c.threads, strtoull(good_files[_i].threads, NULL, 10));
        config_deinit(&c);
}
END_TEST

/* Each one sets something before what is wrong, to see whether that stays. */
#define BEFORE "[daemon]\ninstance = other\nlog_level = debug\nidle_exit = 5s\n[pool]\nparked_thread = no\n"

static const struct {
        const char *text, *message; /* without the path */
} bad_files[] = {
        {BEFORE "threads = x\n", ":7: pool.threads: given \"x\", allowed 0 to 256"},
        {BEFORE "threads =\n", ":7: pool.threads: given \"\", allowed 0 to 256"},
        {BEFORE "threads = 4 # four\n", ":7: pool.threads: given \"4 # four\", allowed 0 to 256"},
        {BEFORE "\n# a comment\n\nthreads = x\n", ":10: pool.threads: given \"x\", allowed 0 to 256"},
        {BEFORE "[jobs]\ndeadline = 5\n", ":8: jobs.deadline: given \"5\", allowed 0 to 8760h"},
        {BEFORE "[jobs]\nkeep_unfetched = 1ms\n", ":8: jobs.keep_unfetched: given \"1ms\", allowed 1s to 168h"},
        {BEFORE "[daemon]\nsocket_mode = 1777\n",
         ":8: daemon.socket_mode: given \"1777\", allowed 0000 to 0777, octal"},
        {BEFORE "[daemon]\nsocket = a\n", ":8: daemon.socket: given \"a\", allowed an absolute path of 1 to 107 bytes"},
        {"[daemon]\nidle_exit = 5s\ninstance = a/b\n",
         ":3: daemon.instance: given \"a/b\", allowed 1 to 32 letters, digits, '-', '_'"},
        {"[daemon]\nidle_exit = 5s\nlog_level = loud\n",
         ":3: daemon.log_level: given \"loud\", allowed alert, error, warning, info or debug"},
        {BEFORE "[access]\nsubmit_users = 1, no-such-name-here\n",
         ":8: access.submit_users: given \"1, no-such-name-here\", allowed 0 to 64 users, by name or number, with "
         "commas; there is no user \"no-such-name-here\""},
        {BEFORE "[access]\n\nadmin_groups = no-such-name-here\n",
         ":9: access.admin_groups: given \"no-such-name-here\", "
         "allowed 0 to 64 groups, by name or number, with commas; there is no group \"no-such-name-here\""},
        {"[pool]\nparked_thread = on\n", ":2: pool.parked_thread: given \"on\", allowed yes or no"},
        /* unknown names */
        {BEFORE "thraeds = 3\n", ":7: unknown key pool.thraeds; the nearest is pool.threads"},
        {BEFORE "Threads = 3\n", ":7: unknown key pool.Threads; the nearest is pool.threads"},
        {BEFORE "[jobs]\nthreads = 3\n", ":8: unknown key jobs.threads; the nearest is pool.threads"},
        {BEFORE "[client]\n", ":7: unknown section [client]; the nearest is [clients]"},
        {BEFORE "[job]\nqueue = 3\n", ":7: unknown section [job]; the nearest is [jobs]"},
        {BEFORE "[]\nqueue = 3\n", ":7: unknown section []; the nearest is [pool]"},
        {BEFORE "[ pool ]\nthreads = 3\n", ":7: unknown section [ pool ]; the nearest is [pool]"},
        {"threads = 3\n", ":1: threads stands before the first [section]; the nearest key is pool.threads"},
        /* twice */
        {BEFORE "threads = 3\nthreads = 3\n", ":8: pool.threads is given twice, first in line 7"},
        {BEFORE "threads = 3\n[jobs]\n[pool]\n\nthreads = 4\n", ":11: pool.threads is given twice, first in line 7"},
        /* no line of an INI file */
        {BEFORE "threads\n", ":7: neither [section] nor key = value"},
        {BEFORE "threads 3\nthreads = x\n", ":7: neither [section] nor key = value"},
        {BEFORE "[jobs\nqueue = 3\n", ":7: neither [section] nor key = value"},
        {BEFORE "[pool] threads = 3\n",
         ":7: \"threads = 3\" behind a section's name; a key needs a line of its own"},
        /* keys that limit each other */
        {BEFORE "threads = 65\n", ":7: pool.threads: given \"65\", allowed 0 to 64, which is pool.max_workers"},
        {BEFORE "max_workers = 10\nprocesses = 11\n",
         ":8: pool.processes: given \"11\", allowed 0 to 10, which is pool.max_workers"},
};

START_TEST(bad_file_is_named_and_changes_nothing)
{
        AUTO_FREE char *message = NULL;
        struct config c, before;

        ck_assert_int_eq(config_init(&c), 0);
        set(&c, "daemon.instance", "mine");
        before = c;
        ck_assert_int_eq(load(&c, bad_files[_i].text, &message), -EINVAL);
        ck_assert_pstr_eq(message, bad_files[_i].message);
        ck_assert_mem_eq(&c, &before, sizeof(c));
        ck_assert_str_eq(c.instance, "mine");
        config_deinit(&c);
}
END_TEST

/* inih by itself would cut a line of 200 bytes in two, and take the rest for another line. */
START_TEST(long_line_is_refused_and_not_cut)
{
        for (size_t len = 150; len < 450; len++) {
                AUTO_FREE char *text = NULL, *message = NULL;
                struct config c;
                int zeros = (int)(len - strlen("threads=") - 1);

                ck_assert_int_gt(asprintf(&text, "[pool]\nprocesses = 2\nthreads=%0*d3\nmax_workers = 70\n", zeros, 0),
                                 0);
                ck_assert_int_eq(config_init(&c), 0);

                int r = load(&c, text, &message);

                if (len <= 199) {
                        ck_assert_msg(r == 0, "%zu: %s", len, message);
                        ck_assert_uint_eq(c.threads, 3);
                        ck_assert_uint_eq(c.max_workers, 70);
                } else {
                        ck_assert_int_eq(r, -EINVAL);
                        ck_assert_str_eq(message, ":3: longer than 199 bytes");
                        ck_assert_uint_eq(c.threads, 0);
                }
                config_deinit(&c);
        }
}
END_TEST

START_TEST(long_comment_and_indent_do_no_harm)
{
        AUTO_FREE char *text = NULL;
        struct config c;

        ck_assert_int_gt(asprintf(&text, "#%05000d\n[pool]\n%1000s\n ;%0400d threads = 9\n%1000sthreads = 3\n", 0, "",
                                  0, ""), 0);
        ck_assert_int_eq(config_init(&c), 0);
        load_well(&c, text);
        ck_assert_uint_eq(c.threads, 3);
        config_deinit(&c);
}
END_TEST

START_TEST(nul_in_a_file_is_refused)
{
        static const char text[] = "[pool]\nprocesses = 2\nthreads = 3\0 4\n";
        AUTO_TEMP struct temp t = temp_write(text, sizeof(text) - 1);
        AUTO_FREE char *message = NULL;
        struct config c, before;

        ck_assert_int_eq(config_init(&c), 0);
        before = c;
        ck_assert_int_eq(config_load(&c, t.path, &message), -EINVAL);
        ck_assert_ptr_nonnull(strstr(message, ":3: a NUL character"));
        ck_assert_mem_eq(&c, &before, sizeof(c));
        config_deinit(&c);
}
END_TEST

START_TEST(unreadable_file_is_its_errno)
{
        static const struct {
                const char *path, *message;
                int error;
        } cases[] = {
                {"/nonexistent/concd.conf", "/nonexistent/concd.conf: No such file or directory", -ENOENT},
                {"/dev/null/concd.conf", "/dev/null/concd.conf: Not a directory", -ENOTDIR},
                {"/", "/: Is a directory", -EISDIR},
        };
        struct config c, before;

        ck_assert_int_eq(config_init(&c), 0);
        before = c;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_FREE char *message = NULL;

                ck_assert_int_eq(config_load(&c, cases[i].path, &message), cases[i].error);
                ck_assert_str_eq(message, cases[i].message);
                ck_assert_mem_eq(&c, &before, sizeof(c));
        }
        config_deinit(&c);
}
END_TEST

START_TEST(file_leaves_what_it_does_not_name)
{
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        set(&c, "daemon.instance", "mine");
        load_well(&c, "[pool]\nthreads = 3\n");
        load_well(&c, "[pool]\nprocesses = 4\n");
        ck_assert_str_eq(c.instance, "mine");
        ck_assert_uint_eq(c.threads, 3);
        ck_assert_uint_eq(c.processes, 4);
        config_deinit(&c);
}
END_TEST

/* ── --set ── */

static const struct {
        const char *name, *value, *message;
} bad_settings[] = {
        {"pool.threads", "x", "pool.threads: given \"x\", allowed 0 to 256"},
        {"pool.tread", "1", "unknown key pool.tread; the nearest is pool.threads"},
        {"threads", "1", "unknown key threads; the nearest is pool.threads"},
        {"pool", "1", "unknown key pool; the nearest is pool.threads"},
        {"", "1", "unknown key ; the nearest is jobs.queue"},
        {"pool.threads ", "1", "unknown key pool.threads ; the nearest is pool.threads"},
        {"[pool]", "1", "unknown key [pool]; the nearest is pool.threads"},
        {"access.admin_users", "root,no-such-name-here",
         "access.admin_users: given \"root,no-such-name-here\", allowed 0 to 64 users, by name or number, with commas; "
         "there is no user \"no-such-name-here\""},
        {"access.submit_groups", " a-b-c-d ,,",
         "access.submit_groups: given \" a-b-c-d ,,\", allowed 0 to 64 groups, by name or number, with commas; "
         "there is no group \"a-b-c-d\""},
        {"access.admin_users", "root,,daemon",
         "access.admin_users: given \"root,,daemon\", allowed 0 to 64 users, by name or number, with commas; "
         "an entry is empty"},
        {"access.admin_groups", "7,4294967295",
         "access.admin_groups: given \"7,4294967295\", allowed 0 to 64 groups, by name or number, with commas; "
         "no group can have the number 4294967295"},
        {"access.admin_users", ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "access.admin_users: given \",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\", "
         "allowed 0 to 64 users, by name or number, with commas; there are 65"},
};

START_TEST(bad_setting_is_named_and_changes_nothing)
{
        AUTO_FREE char *message = NULL;
        struct config c, before;

        ck_assert_int_eq(config_init(&c), 0);
        before = c;
        ck_assert_int_eq(config_set(&c, bad_settings[_i].name, bad_settings[_i].value, &message), -EINVAL);
        ck_assert_pstr_eq(message, bad_settings[_i].message);
        ck_assert_mem_eq(&c, &before, sizeof(c));
        config_deinit(&c);
}
END_TEST

/* The order of the settings does not matter: only what came out is checked. */
START_TEST(settings_that_do_not_fit_each_other_are_named)
{
        AUTO_FREE char *message = NULL;
        struct config c;

        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_int_eq(config_check(&c, &message), 0);
        set(&c, "pool.threads", "65");
        ck_assert_int_eq(config_check(&c, &message), -EINVAL);
        ck_assert_pstr_eq(message, "pool.threads: given \"65\", allowed 0 to 64, which is pool.max_workers");
        set(&c, "pool.max_workers", "65");
        ck_assert_int_eq(config_check(&c, NULL), 0);
        config_deinit(&c);
}
END_TEST

START_TEST(unknown_name_of_any_length_is_survived)
{
        AUTO_FREE char *name = calloc(1, 100001), *message = NULL;
        struct config c;

        memset(name, 'x', 100000);
        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_int_eq(config_set(&c, name, "1", &message), -EINVAL);
        ck_assert_ptr_nonnull(strstr(message, "; the nearest is "));
        config_deinit(&c);
}
END_TEST

/* ── reload ── */

START_TEST(reload_takes_a_live_key_and_names_the_others)
{
        const struct row *row = &rows[_i];
        AUTO_FREE char *ignored = NULL;
        struct config c, from;

        init_roomy(&c);
        init_roomy(&from);

        AUTO_FREE char *before = value_text(row, &c), *other = other_text(row, &c);

        set(&from, row->name, other);
        ck_assert_int_eq(config_reload(&c, &from, &ignored), 0);

        AUTO_FREE char *after = value_text(row, &c), *given = value_text(row, &from);

        ck_assert_str_eq(given, other);
        ck_assert_str_eq(after, row->reload == RELOAD_LIVE ? other : before);
        ck_assert_pstr_eq(ignored, row->reload == RELOAD_LIVE ? NULL : row->name);
        config_deinit(&from);

        AUTO_FREE char *alone = value_text(row, &c); /* nothing of c was `from`'s */

        ck_assert_str_eq(alone, after);
        config_deinit(&c);
}
END_TEST

START_TEST(reload_lists_every_key_that_waits)
{
        AUTO_FREE char *ignored = NULL, *expected = NULL;
        size_t size;
        FILE *f = open_memstream(&expected, &size);
        struct config c, from;

        init_roomy(&c);
        init_roomy(&from);
        set_all_others(&from, &c);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].reload == RELOAD_RESTART)
                        fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", rows[i].name);
        fclose(f);

        ck_assert_int_eq(config_reload(&c, &from, &ignored), 0);
        ck_assert_pstr_eq(ignored, expected);
        ck_assert_uint_eq(c.threads, 0);
        ck_assert_str_eq(c.instance, "system");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *a = value_text(&rows[i], &c), *b = value_text(&rows[i], &from);

                ck_assert_int_eq(strcmp(a, b) == 0, rows[i].reload == RELOAD_LIVE);
        }
        config_deinit(&c);
        config_deinit(&from);
}
END_TEST

START_TEST(reload_of_the_same_changes_nothing)
{
        char *ignored = (char *)&ignored;
        struct config c, from;

        ck_assert_int_eq(config_init(&c), 0);
        ck_assert_int_eq(config_init(&from), 0);
        ck_assert_int_eq(config_reload(&c, &from, &ignored), 0);
        ck_assert_ptr_null(ignored);
        config_deinit(&c);
        config_deinit(&from);
}
END_TEST

/* ── the printed file ── */

static char *
printed(void)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        ck_assert_int_eq(config_print(f), 0);
        ck_assert_int_eq(fclose(f), 0);
        return text;
}

START_TEST(printed_file_sets_every_key_to_its_default)
{
        AUTO_FREE char *text = printed();
        struct config c, defaults;

        ck_assert_int_eq(config_init(&defaults), 0);
        init_roomy(&c);
        set_all_others(&c, &defaults);
        load_well(&c, text);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                AUTO_FREE char *a = value_text(&rows[i], &c), *b = value_text(&rows[i], &defaults);

                ck_assert_msg(strcmp(a, b) == 0, "%s: %s instead of %s", rows[i].name, a, b);
        }
        config_deinit(&c);
        config_deinit(&defaults);
}
END_TEST

START_TEST(printed_file_tells_range_default_and_reload)
{
        AUTO_FREE char *text = printed();
        static const char *const parts[] = {
                "\n[pool]\n\n# process workers kept ready; 0 is one for each CPU that affinity and cgroup quota allow\n"
                "# Allowed: 0 to 256. Default: 0. Needs a restart.\nprocesses = 0\n",
                "\n# Allowed: 100ms to 1h. Default: 30s. SIGHUP applies it.\nrequest_timeout = 30s\n",
                "\n# Allowed: 0 to 64 groups, by name or number, with commas. Default: empty. SIGHUP applies it.\n"
                "admin_groups =\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                ck_assert_ptr_nonnull(strstr(text, parts[i]));
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
                ck_assert_uint_le(strcspn(line, "\n"), 100);
}
END_TEST

/* The file that is installed; found beside this source. */
START_TEST(installed_file_is_the_printed_one)
{
        AUTO_FREE char *text = printed(), *installed = calloc(1, 65536), *path = NULL;
        AUTO_FCLOSE FILE *f = NULL;

        ck_assert_int_gt(asprintf(&path, "%.*s../../etc/concd.conf", (int)(strrchr(__FILE__, '/') - __FILE__ + 1),
                                  __FILE__), 0);
        f = fopen(path, "re");
        ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
        ck_assert_uint_lt(fread(installed, 1, 65535, f), 65535);
        ck_assert_str_eq(installed, text);
}
END_TEST

START_TEST(full_disk_is_reported)
{
        AUTO_FCLOSE FILE *f = fopen("/dev/full", "we");

        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(config_print(f), -ENOSPC);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("config");
        TCase *c = tcase_create("keys");

        tcase_add_test(c, table_makes_sense);
        tcase_add_loop_test(c, default_is_what_the_table_says, 0, ARRAY_SIZE(rows));
        tcase_add_test(c, some_defaults_by_hand);
        tcase_add_test(c, range_includes_both_ends_and_nothing_beyond);
        tcase_add_loop_test(c, nonsense_is_refused, 0, ARRAY_SIZE(rows));
        tcase_add_test(c, flags_and_levels_take_their_words);
        tcase_add_test(c, durations_need_a_unit);
        tcase_add_test(c, counts_take_exponents_and_factors);
        tcase_add_test(c, instance_has_only_name_characters);
        tcase_add_test(c, socket_is_an_absolute_path);
        tcase_add_loop_test(c, list_takes_names_and_numbers, 0, ARRAY_SIZE(lists));
        tcase_add_test(c, users_are_no_groups);
        suite_add_tcase(suite, c);

        c = tcase_create("file");
        tcase_add_loop_test(c, good_file_is_read, 0, ARRAY_SIZE(good_files));
        tcase_add_loop_test(c, bad_file_is_named_and_changes_nothing, 0, ARRAY_SIZE(bad_files));
        tcase_add_test(c, long_line_is_refused_and_not_cut);
        tcase_add_test(c, long_comment_and_indent_do_no_harm);
        tcase_add_test(c, nul_in_a_file_is_refused);
        tcase_add_test(c, unreadable_file_is_its_errno);
        tcase_add_test(c, file_leaves_what_it_does_not_name);
        suite_add_tcase(suite, c);

        c = tcase_create("set");
        tcase_add_loop_test(c, bad_setting_is_named_and_changes_nothing, 0, ARRAY_SIZE(bad_settings));
        tcase_add_test(c, settings_that_do_not_fit_each_other_are_named);
        tcase_add_test(c, unknown_name_of_any_length_is_survived);
        suite_add_tcase(suite, c);

        c = tcase_create("reload");
        tcase_add_loop_test(c, reload_takes_a_live_key_and_names_the_others, 0, ARRAY_SIZE(rows));
        tcase_add_test(c, reload_lists_every_key_that_waits);
        tcase_add_test(c, reload_of_the_same_changes_nothing);
        suite_add_tcase(suite, c);

        c = tcase_create("print");
        tcase_add_test(c, printed_file_sets_every_key_to_its_default);
        tcase_add_test(c, printed_file_tells_range_default_and_reload);
        tcase_add_test(c, installed_file_is_the_printed_one);
        tcase_add_test(c, full_disk_is_reported);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
