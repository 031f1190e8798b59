/* SPDX-License-Identifier: MIT */
/* A comparison for other programs: what is written, read back; and files that take their place only when complete. */
#include "ctl/compare-export.h"
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/outfile.h"

#include "compare_fixture.h"
#include "run_suite.h"
#include "text_check.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define NEAR 1e-9

static char *export(int (*write)(FILE *f, const json_t *compare), const json_t *compare)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        ck_assert_int_eq(write(f, compare), 0);
        fclose(f);
        return text;
}

static json_t *
variant(json_t *compare, size_t i)
{
        return json_array_get(json_object_get(compare, "variants"), i);
}

/* The keys in hyperfine's order. */
static void
assert_keys(json_t *object)
{
        static const char *const keys[] = {"command", "mean", "stddev", "median",     "user",      "system",
                                           "min",     "max",  "times",  "exit_codes", "parameters"};
        const char *key;
        json_t *value;
        size_t n = 0;

        json_object_foreach(object, key, value)
        {
                ck_assert_uint_lt(n, ARRAY_SIZE(keys));
                ck_assert_str_eq(key, keys[n++]);
        }
        ck_assert_uint_eq(n, ARRAY_SIZE(keys));
}

START_TEST(json_has_the_shape_of_hyperfine)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = export(compare_export_json, compare);
        AUTO_JSON json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        json_t *results = json_object_get(read, "results"), *result, *code;
        size_t i, k;

        ck_assert_uint_eq(json_object_size(read), 1);
        ck_assert_uint_eq(json_array_size(results), 4);
        json_array_foreach(results, i, result)
        {
                const json_t *v = variant(compare, i);

                assert_keys(result);
                ck_assert_str_eq(field_text(result, "command"), field_text(v, "name"));
                ck_assert_double_eq_tol(field_real(result, "mean"), field_real(v, "mean_s"), NEAR);
                ck_assert_double_eq_tol(field_real(result, "stddev"), field_real(v, "stddev_s"), NEAR);
                ck_assert_double_eq_tol(field_real(result, "median"), field_real(v, "median_s"), NEAR);
                ck_assert_double_eq_tol(field_real(result, "min"), field_real(v, "min_s"), NEAR);
                ck_assert_double_eq_tol(field_real(result, "max"), field_real(v, "max_s"), NEAR);
                ck_assert_uint_eq(json_array_size(json_object_get(result, "times")), FIXTURE_ROUNDS);
                ck_assert_uint_eq(json_array_size(json_object_get(result, "exit_codes")), FIXTURE_ROUNDS);
                json_array_foreach(json_object_get(result, "exit_codes"), k, code)
                        ck_assert_int_eq(json_integer_value(code), 0);
                ck_assert_uint_eq(json_object_size(json_object_get(result, "parameters")), 1);
                ck_assert_str_eq(field_text(json_object_get(result, "parameters"), "mode"), field_text(v, "mode"));
        }
}
END_TEST

START_TEST(cpu_time_is_the_mean_over_rounds)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;
        AUTO_JSON json_t *read = NULL;
        json_t *result;

        json_object_set_new(variant(compare, 0), "user_s", json_pack("[f, f, f]", 1.0, 2.0, 6.0));
        json_object_set_new(variant(compare, 0), "system_s", json_pack("[f, f]", 0.25, 0.75));
        text = export(compare_export_json, compare);
        read = json_loads(text, 0, NULL);
        result = json_array_get(json_object_get(read, "results"), 0);
        ck_assert_double_eq_tol(field_real(result, "user"), 3, NEAR);
        ck_assert_double_eq_tol(field_real(result, "system"), 0.5, NEAR);
}
END_TEST

START_TEST(one_round_has_no_spread)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL, *csv = NULL;
        AUTO_JSON json_t *read = NULL;

        json_object_set_new(variant(compare, 0), "times_s", json_pack("[f]", 1.5));
        text = export(compare_export_json, compare);
        read = json_loads(text, 0, NULL);
        ck_assert(json_is_null(json_object_get(json_array_get(json_object_get(read, "results"), 0), "stddev")));
        csv = export(compare_export_csv, compare);
        assert_says(csv, "\nsequential,0.752463636363636,,0.7521,");
}
END_TEST

START_TEST(failed_tasks_are_seen_in_the_exit_codes)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;
        AUTO_JSON json_t *read = NULL;
        json_t *code;
        size_t i;

        json_array_set_new(json_object_get(variant(compare, 1), "failed_tasks"), 4, json_integer(2));
        text = export(compare_export_json, compare);
        read = json_loads(text, 0, NULL);
        json_array_foreach(json_object_get(json_array_get(json_object_get(read, "results"), 1), "exit_codes"), i, code)
                ck_assert_int_eq(json_integer_value(code), i == 4);
        ck_assert_uint_eq(i, FIXTURE_ROUNDS);
}
END_TEST

START_TEST(csv_has_the_columns_of_hyperfine_and_its_own_behind)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = export(compare_export_csv, compare);
        char *rest = text, *line = strsep(&rest, "\n");
        int rows = 0;

        ck_assert_str_eq(line, "command,mean,stddev,median,user,system,min,max,parameter_mode,speed_up,speed_up_low,"
                               "speed_up_high");
        while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
                int commas = 0;

                for (const char *p = line; *p != '\0'; p++)
                        commas += *p == ',';
                ck_assert_int_eq(commas, 11);
                rows++;
        }
        ck_assert_int_eq(rows, 4);
        ck_assert_ptr_null(rest);
}
END_TEST

START_TEST(csv_quotes_as_the_rfc_has_it)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        json_object_set_new(variant(compare, 0), "name", json_string("a,b"));
        json_object_set_new(variant(compare, 1), "name", json_string("say \"x\""));
        json_object_set_new(variant(compare, 2), "name", json_string("two\nlines"));
        json_object_set_new(variant(compare, 3), "name", json_string("a'b;c|d"));
        text = export(compare_export_csv, compare);
        assert_says(text, "\n\"a,b\",0.75");
        assert_says(text, "\n\"say \"\"x\"\"\",0.38");
        assert_says(text, "\n\"two\nlines\",0.38");
        assert_says(text, "\na'b;c|d,0.77");
}
END_TEST

START_TEST(markdown_is_a_table)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = export(compare_export_markdown, compare);

        ck_assert_str_eq(
                text,
                "| Command | Mean [ms] | Min [ms] | Max [ms] | Relative | Median [ms] | 95 % interval [ms] | Speed-up "
                "| "
                "95 % interval | Why |\n"
                "|:---|---:|---:|---:|---:|---:|---:|---:|---:|:---|\n"
                "| sequential | 752.5 ± 2.6 | 748.3 | 757.2 | 1.98 | 752.1 | 750.6 … 754.0 | 1.000 | 1.000 … 1.000 | "
                "one "
                "worker |\n"
                "| process | 385.2 ± 10.3 | 378.2 | 412.6 | 1.00 | 381.0 | 379.9 … 384.8 | 1.974 | 1.953 … 1.980 | "
                "both "
                "cores busy, nothing shared |\n"
                "| thread | 380.3 ± 1.8 | 377.4 | 383.6 | 1.00 | 380.1 | 378.9 … 381.7 | 1.979 | 1.968 … 1.987 | as "
                "process: C threads share no lock here |\n"
                "| gil | 779.6 ± 6.3 | 770.1 | 790.5 | 2.05 | 779.3 | 774.2 … 784.2 | 0.965 | 0.958 … 0.972 | while "
                "one "
                "worker ran the other waited for the interpreter lock 99 % of the time |\n");
}
END_TEST

/* Rounds of 200 ms by duration: what differs is how many tasks were done in them. */
static void
run_by_duration(json_t *v, double s_per_task)
{
        json_t *times = json_array(), *tasks = json_array();

        for (int i = 0; i < FIXTURE_ROUNDS; i++) {
                json_array_append_new(times, json_real(0.2));
                json_array_append_new(tasks, json_integer((json_int_t)(0.2 / s_per_task + 0.5) * (i == 0 ? 2 : 1)));
        }
        json_object_update_new(v, json_pack("{s:n, s:f, s:o, s:o, s:f}", "count", "duration_s", 0.2, "times_s", times,
                                            "tasks", tasks, "s_per_task", s_per_task));
        json_object_update_new(v, json_pack("{s:f, s:f, s:f, s:f, s:f}", "median_s", 0.2, "mean_s", 0.2, "stddev_s",
                                            0.0, "min_s", 0.2, "max_s", 0.2));
}

START_TEST(markdown_of_runs_by_duration_is_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        for (size_t i = 0; i < 4; i++)
                run_by_duration(variant(compare, i), i == 0 ? 0.0005 : 0.00025);
        text = export(compare_export_markdown, compare);
        assert_says(text,
                    "| Command | Mean per task [µs] | Min per task [µs] | Max per task [µs] | Relative | Median per "
                    "task [µs] | 95 % interval per task [µs] | ");
        assert_says(text, "\n| sequential | 477.3 ± 75.4 | 250.0 | 500.0 | 2.00 | 500.0 | ");
        assert_says(text, "\n| gil | 238.6 ± 37.7 | 125.0 | 250.0 | 1.00 | 250.0 | ");
        /* A round without a task has no time per task. */
        json_array_set_new(json_object_get(variant(compare, 3), "tasks"), 2, json_integer(0));
        json_object_update_new(variant(compare, 3),
                               json_pack("{s:n, s:n, s:n}", "s_per_task", "speed_up", "speed_up_interval"));
        free(text);
        text = export(compare_export_markdown, compare);
        assert_says(text, "\n| gil |  |  |  |  |  |  |  |  | while one");
}
END_TEST

START_TEST(json_and_csv_of_runs_by_duration_are_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture(), *read = NULL;
        AUTO_FREE char *text = NULL, *csv = NULL;
        json_t *result, *time;
        size_t i;

        for (i = 0; i < 4; i++)
                run_by_duration(variant(compare, i), i == 0 ? 0.0005 : 0.00025);
        json_object_set_new(variant(compare, 0), "user_s", json_pack("[f, f]", 0.1, 0.3));
        text = export(compare_export_json, compare);
        read = json_loads(text, 0, NULL);
        result = json_array_get(json_object_get(read, "results"), 0);
        assert_keys(result);
        ck_assert_uint_eq(json_array_size(json_object_get(result, "times")), FIXTURE_ROUNDS);
        json_array_foreach(json_object_get(result, "times"), i, time)
                ck_assert_double_eq_tol(json_number_value(time), i == 0 ? 0.00025 : 0.0005, NEAR);
        ck_assert_double_eq_tol(field_real(result, "median"), 0.0005, NEAR);
        ck_assert_double_eq_tol(field_real(result, "mean"), 0.00525 / FIXTURE_ROUNDS, NEAR);
        ck_assert_double_eq_tol(field_real(result, "user"), 0.0004375, NEAR);
        ck_assert_double_eq_tol(field_real(result, "min"), 0.00025, NEAR);
        csv = export(compare_export_csv, compare);
        assert_says(csv, "\nsequential,0.000477");

        json_array_set_new(json_object_get(variant(compare, 0), "tasks"), 1, json_integer(0));
        free(text);
        text = export(compare_export_json, compare);
        json_decref(read);
        read = json_loads(text, 0, NULL);
        result = json_array_get(json_object_get(read, "results"), 0);
        ck_assert(json_is_null(json_array_get(json_object_get(result, "times"), 1)));
        ck_assert(json_is_null(json_object_get(result, "median")));
}
END_TEST

START_TEST(markdown_of_different_counts_is_per_task)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        json_object_update_new(variant(compare, 1), json_pack("{s:i, s:f}", "count", 2000, "s_per_task", 0.0001905));
        text = export(compare_export_markdown, compare);
        assert_says(text, "\n| sequential | 752.5 ± 2.6 | 748.3 | 757.2 | 3.95 | 752.1 | 750.6 … 754.0 | ");
        assert_says(text, "\n| process | 192.6 ± 5.1 | 189.1 | 206.3 | 1.00 | 190.5 | 189.9 … 192.4 | ");
        assert_says(text, " per task [µs] | ");
}
END_TEST

START_TEST(markdown_is_escaped)
{
        AUTO_JSON json_t *compare = compare_fixture();
        AUTO_FREE char *text = NULL;

        json_object_set_new(variant(compare, 0), "name", json_string("a|b `c` \\ <d>\ne_* &lt; ~~f~~"));
        text = export(compare_export_markdown, compare);
        assert_says(text, "\n| a\\|b \\`c\\` \\\\ \\<d> e\\_\\* \\&lt; \\~\\~f\\~\\~ | ");
}
END_TEST

/* What a mode brings along is not what differs. */
START_TEST(parameters_are_what_was_varied)
{
        AUTO_JSON json_t *compare = compare_fixture(), *first = NULL, *last = NULL;

        for (size_t i = 0; i < 4; i++) {
                json_object_set_new(variant(compare, i), "chunk", json_integer((json_int_t)i + 1));
                json_object_set_new(variant(compare, i), "params",
                                    json_pack("{s:s, s:s}", "ns", i < 2 ? "100" : "200", "how", "a"));
                json_object_set_new(variant(compare, i), "mode", json_string(i % 2 ? "gil" : "thread"));
                json_object_set_new(variant(compare, i), "workers", json_integer(i == 3 ? 4 : 2));
        }
        json_object_del(json_object_get(variant(compare, 3), "params"), "how");
        first = compare_variant_parameters(compare, variant(compare, 0));
        last = compare_variant_parameters(compare, variant(compare, 3));
        ck_assert_uint_eq(json_object_size(first), 4);
        ck_assert_str_eq(field_text(first, "mode"), "thread");
        ck_assert_str_eq(field_text(first, "ns"), "100");
        ck_assert_str_eq(field_text(first, "workers"), "2");
        ck_assert_str_eq(field_text(last, "workers"), "4");
        ck_assert_str_eq(field_text(last, "how"), "");
        ck_assert_uint_eq(json_object_size(last), 4);
}
END_TEST

START_TEST(a_result_without_fields_is_harmless)
{
        static int (*const writers[])(FILE *, const json_t *) = {compare_export_json, compare_export_csv,
                                                                 compare_export_markdown};
        static const char *const shapes[] = {"{}", "{\"variants\":[]}", "{\"variants\":[{},{\"name\":null}]}"};

        for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
                for (size_t k = 0; k < ARRAY_SIZE(shapes); k++) {
                        AUTO_JSON json_t *compare = json_loads(shapes[k], 0, NULL);
                        AUTO_FREE char *text = export(writers[i], compare);

                        if (i == 0) {
                                AUTO_JSON json_t *read = json_loads(text, 0, NULL);

                                ck_assert(json_is_array(json_object_get(read, "results")));
                        }
                }
}
END_TEST

/* ── files ── */

static char folder[64];
static char path[128];

static void
make_folder(void)
{
        strcpy(folder, "/tmp/concd-export-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/file", folder);
}

static int
count_files(void)
{
        DIR *dir = opendir(folder);
        int n = 0;

        for (const struct dirent *e; (e = readdir(dir)) != NULL;)
                n += e->d_name[0] != '.';
        closedir(dir);
        return n;
}

static void
remove_folder(void)
{
        unlink(path);
        ck_assert_int_eq(rmdir(folder), 0); /* also when a temporary file was left */
}

static void
put_old(mode_t mode)
{
        FILE *f = fopen(path, "w");

        fputs("old", f);
        fclose(f);
        ck_assert_int_eq(chmod(path, mode), 0);
}

static void
assert_content(const char *expected)
{
        char text[64] = "";
        FILE *f = fopen(path, "r");

        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, f), strlen(expected));
        fclose(f);
        ck_assert_str_eq(text, expected);
}

START_TEST(a_file_takes_its_place_at_the_end)
{
        struct outfile o;
        struct stat st;

        put_old(0640);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        fputs("new", o.file);
        fflush(o.file);
        assert_content("old");
        ck_assert_int_eq(outfile_commit(&o), 0);
        assert_content("new");
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 0777, 0640);
        ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_new_file_obeys_the_umask)
{
        struct outfile o;
        struct stat st;

        umask(027);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        ck_assert_int_eq(outfile_commit(&o), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_discarded_file_leaves_what_was_there)
{
        struct outfile o;

        put_old(0600);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        fputs("new", o.file);
        outfile_discard(&o);
        assert_content("old");
        ck_assert_int_eq(count_files(), 1);
        unlink(path);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        outfile_discard(&o);
        ck_assert_int_eq(count_files(), 0);
}
END_TEST

START_TEST(a_link_stays_one)
{
        char link[128];
        struct outfile o;
        struct stat st;

        put_old(0600);
        snprintf(link, sizeof(link), "%s/link", folder);
        ck_assert_int_eq(symlink("file", link), 0);
        ck_assert_int_eq(outfile_open(&o, link), 0);
        fputs("new", o.file);
        ck_assert_int_eq(outfile_commit(&o), 0);
        assert_content("new");
        ck_assert_int_eq(lstat(link, &st), 0);
        ck_assert(S_ISLNK(st.st_mode));
        unlink(link);
}
END_TEST

/* Links that point to nothing yet, one to the other, are followed and stay. */
START_TEST(a_dangling_link_is_followed)
{
        char link[128], other[128];
        struct outfile o;
        struct stat st;

        snprintf(link, sizeof(link), "%s/link", folder);
        snprintf(other, sizeof(other), "%s/other", folder);
        ck_assert_int_eq(symlink(path, link), 0);
        ck_assert_int_eq(symlink("link", other), 0);
        ck_assert_int_eq(outfile_open(&o, other), 0);
        fputs("new", o.file);
        ck_assert_int_eq(outfile_commit(&o), 0);
        assert_content("new");
        ck_assert(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
        ck_assert(lstat(other, &st) == 0 && S_ISLNK(st.st_mode));
        ck_assert_int_eq(unlink(link), 0);
        ck_assert_int_eq(symlink("none/file", link), 0);
        ck_assert_int_eq(outfile_open(&o, other), -ENOENT);
        ck_assert_int_eq(unlink(link), 0);
        ck_assert_int_eq(symlink("other", link), 0);
        ck_assert_int_eq(outfile_open(&o, other), -ELOOP);
        unlink(link);
        unlink(other);
}
END_TEST

/* Root, who may write everywhere, becomes another one for that. */
START_TEST(a_file_is_written_where_its_folder_may_not_be)
{
        bool is_root = getuid() == 0;
        struct outfile o;

        put_old(0666);
        ck_assert_int_eq(chmod(folder, 0555), 0);
        if (is_root)
                ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        assert_content("old");
        fputs("n", o.file);
        ck_assert_int_eq(outfile_commit(&o), 0);
        assert_content("n");
        ck_assert_int_eq(outfile_open(&o, path), 0);
        outfile_discard(&o);
        assert_content("n");
        if (is_root)
                ck_assert_int_eq(setresuid(0, 0, 0), 0);
        ck_assert_int_eq(chmod(path, 0444), 0);
        if (is_root)
                ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
        ck_assert_int_eq(outfile_open(&o, path), -EACCES);
        if (is_root)
                ck_assert_int_eq(setresuid(0, 0, 0), 0);
        ck_assert_int_eq(chmod(folder, 0755), 0);
}
END_TEST

START_TEST(a_pipe_without_a_reader_is_refused)
{
        struct outfile o;
        char text[8] = "";
        int fd;

        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(outfile_open(&o, path), -EPIPE);
        ck_assert_str_eq(outfile_strerror(-EPIPE), "it is a pipe that nobody reads");
        fd = open(path, O_RDONLY | O_NONBLOCK);
        ck_assert_int_eq(outfile_open(&o, path), 0);
        ck_assert_int_eq(fcntl(fileno(o.file), F_GETFL) & O_NONBLOCK, 0);
        fputs("new", o.file);
        ck_assert_int_eq(outfile_commit(&o), 0);
        ck_assert_int_eq(read(fd, text, sizeof(text)), 3);
        ck_assert_str_eq(text, "new");
        close(fd);
}
END_TEST

static bool
is_same(const char *a, const char *b)
{
        struct outfile x, y;
        bool same;

        ck_assert_int_eq(outfile_open(&x, a), 0);
        ck_assert_int_eq(outfile_open(&y, b), 0);
        same = outfile_is_same(&x, &y) && outfile_is_same(&y, &x);
        outfile_discard(&x);
        outfile_discard(&y);
        return same;
}

START_TEST(one_file_is_known_by_all_its_names)
{
        char link[128], dotted[128], twisted[160], other[128];

        snprintf(dotted, sizeof(dotted), "%s/./file", folder);
        snprintf(twisted, sizeof(twisted), "%s/../%s/file", folder, strrchr(folder, '/') + 1);
        snprintf(other, sizeof(other), "%s/other", folder);
        snprintf(link, sizeof(link), "%s/link", folder);
        ck_assert_int_eq(symlink("file", link), 0);
        /* When there is none yet, then when there is. */
        for (int i = 0; i < 2; i++) {
                ck_assert(is_same(path, path));
                ck_assert(is_same(path, dotted));
                ck_assert(is_same(path, twisted));
                ck_assert(is_same(path, link));
                ck_assert(!is_same(path, other));
                ck_assert(!is_same(path, "-"));
                ck_assert(is_same("-", "-"));
                put_old(0600);
        }
        unlink(link);
        ck_assert(chdir(folder) == 0 && is_same("file", "./file") && is_same("new", "./new"));
        ck_assert_int_eq(linkat(AT_FDCWD, path, AT_FDCWD, link, 0), 0);
        ck_assert(is_same(path, link));
        unlink(link);
}
END_TEST

START_TEST(what_cannot_be_written_is_known_at_once)
{
        char below[160];
        struct outfile o;

        ck_assert_int_eq(outfile_open(&o, folder), -EISDIR);
        snprintf(below, sizeof(below), "%s/none/file", folder);
        ck_assert_int_eq(outfile_open(&o, below), -ENOENT);
        put_old(0600);
        snprintf(below, sizeof(below), "%s/file/x", folder);
        ck_assert_int_eq(outfile_open(&o, below), -ENOTDIR);
        ck_assert_int_eq(outfile_open(&o, ""), -ENOENT);
        ck_assert_int_lt(outfile_open(&o, "/proc/version"), 0);
}
END_TEST

START_TEST(what_is_no_regular_file_is_written_as_it_is)
{
        struct outfile o;
        struct stat st;

        ck_assert_int_eq(outfile_open(&o, "/dev/null"), 0);
        fputs("new", o.file);
        ck_assert_int_eq(outfile_commit(&o), 0);
        ck_assert_int_eq(stat("/dev/null", &st), 0);
        ck_assert(S_ISCHR(st.st_mode));
        ck_assert_int_eq(outfile_open(&o, "/dev/full"), 0);
        fputs("new", o.file);
        ck_assert_int_eq(outfile_commit(&o), -ENOSPC);
        ck_assert_int_eq(outfile_open(&o, "-"), 0);
        ck_assert_ptr_eq(o.file, stdout);
        outfile_discard(&o);
        ck_assert_int_ge(fileno(stdout), 0);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("ctl_export");
        TCase *tc = tcase_create("export"), *files = tcase_create("files");

        tcase_add_test(tc, json_has_the_shape_of_hyperfine);
        tcase_add_test(tc, cpu_time_is_the_mean_over_rounds);
        tcase_add_test(tc, one_round_has_no_spread);
        tcase_add_test(tc, failed_tasks_are_seen_in_the_exit_codes);
        tcase_add_test(tc, csv_has_the_columns_of_hyperfine_and_its_own_behind);
        tcase_add_test(tc, csv_quotes_as_the_rfc_has_it);
        tcase_add_test(tc, markdown_is_a_table);
        tcase_add_test(tc, markdown_of_runs_by_duration_is_per_task);
        tcase_add_test(tc, json_and_csv_of_runs_by_duration_are_per_task);
        tcase_add_test(tc, markdown_of_different_counts_is_per_task);
        tcase_add_test(tc, markdown_is_escaped);
        tcase_add_test(tc, parameters_are_what_was_varied);
        tcase_add_test(tc, a_result_without_fields_is_harmless);
        suite_add_tcase(suite, tc);
        tcase_add_checked_fixture(files, make_folder, remove_folder);
        tcase_add_test(files, a_file_takes_its_place_at_the_end);
        tcase_add_test(files, a_new_file_obeys_the_umask);
        tcase_add_test(files, a_discarded_file_leaves_what_was_there);
        tcase_add_test(files, a_link_stays_one);
        tcase_add_test(files, a_dangling_link_is_followed);
        tcase_add_test(files, a_file_is_written_where_its_folder_may_not_be);
        tcase_add_test(files, a_pipe_without_a_reader_is_refused);
        tcase_add_test(files, one_file_is_known_by_all_its_names);
        tcase_add_test(files, what_cannot_be_written_is_known_at_once);
        tcase_add_test(files, what_is_no_regular_file_is_written_as_it_is);
        suite_add_tcase(suite, files);
        return run_suite(suite);
}
