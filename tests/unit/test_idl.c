/* SPDX-License-Identifier: MIT */
#include "protocol/idl.h"

#include "run_suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

static const char sample[] = "# A comment\n"
                             "interface org.example-1.test # behind the name\n"
                             "\n"
                             "method Later(a: ?Thing) -> ()\n"
                             "type Thing (name: string, kind: Kind, deep: ?[](x: int, y: ?float))\n"
                             "type Kind (one, two)\n"
                             "method All(\n"
                             "  b: bool, # here too\n"
                             "  i: ?int,\n"
                             "  f: ?float,\n"
                             "  s: ?string,\n"
                             "  o: ?object,\n"
                             "  v: ?any,\n"
                             "  list: ?[]int,\n"
                             "  map: ?[string]?int,\n"
                             "  set: ?[string](),\n"
                             "  e: ?(red, green),\n"
                             "  named: ?Kind,\n"
                             "  things: ?[string]Thing\n"
                             ") -> (n: int)\n"
                             "error Bad (why: string)\n"
                             "error Empty ()";

static struct idl *idl;

static void
setup(void)
{
        AUTO_FREE char *message = NULL;

        idl = idl_parse(sample, &message);
        ck_assert_msg(idl != NULL, "%s", message);
}

static void
teardown(void)
{
        idl_free(idl);
}

START_TEST(embedded_interfaces_parse)
{
        const char *const texts[] = {idl_org_concd, idl_org_varlink_service};
        const char *const names[] = {"org.concd", "org.varlink.service"};
        const char *const methods[] = {"Describe", "GetInfo"};

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                AUTO_FREE char *message = NULL;
                struct idl *one = idl_parse(texts[i], &message);

                ck_assert_msg(one != NULL, "%s", message);
                ck_assert_str_eq(idl_interface(one), names[i]);
                ck_assert_str_eq(idl_method(one, 0), methods[i]);
                ck_assert_ptr_eq(idl_text(one), texts[i]);
                idl_free(one);
        }
}
END_TEST

START_TEST(members_are_listed_in_order)
{
        ck_assert_str_eq(idl_interface(idl), "org.example-1.test");
        ck_assert_str_eq(idl_method(idl, 0), "Later");
        ck_assert_str_eq(idl_method(idl, 1), "All");
        ck_assert_ptr_null(idl_method(idl, 2));
        ck_assert_str_eq(idl_error(idl, 0), "Bad");
        ck_assert_str_eq(idl_error(idl, 1), "Empty");
        ck_assert_ptr_null(idl_error(idl, 2));
}
END_TEST

static const struct {
        const char *text;
        unsigned line;
        const char *word; /* that the message must hold */
} broken[] = {
        {"", 1, "interface"},
        {"method A() -> ()\n", 1, "interface"},
        {"interface org\nmethod A() -> ()\n", 1, "name of an interface"},
        {"interface org..x\nmethod A() -> ()\n", 1, "name of an interface"},
        {"interface org.x-\nmethod A() -> ()\n", 1, "name of an interface"},
        {"interface org._x\nmethod A() -> ()\n", 1, "name of an interface"},
        {"interface 1org.x\nmethod A() -> ()\n", 1, "name of an interface"},
        {"interface a.b method A() -> ()\n", 1, "new line"},
        {"interface a.b\n", 2, "'type', 'method' or 'error'"},
        {"interface a.b\n\n# one\nmethod a() -> ()\n", 4, "'a' is not a name of a method"},
        {"interface a.b\nmethod A_b() -> ()\n", 2, "A_b"},
        {"interface a.b\nmethod A() -> () method B() -> ()\n", 2, "new line"},
        {"interface a.b\nmethod A()\n", 3, "'->'"},
        {"interface a.b\nmethod A(one, two) -> ()\n", 2, "input"},
        {"interface a.b\nmethod A() -> (one, two)\n", 2, "output"},
        {"interface a.b\nerror A (one, two)\n", 2, "error"},
        {"interface a.b\nmethod A(x: int,) -> ()\n", 2, "name of a field"},
        {"interface a.b\nmethod A(x: int, y) -> ()\n", 2, "'y'"},
        {"interface a.b\ntype A (x, y: int)\n", 2, "'y'"},
        {"interface a.b\nmethod A(x: int\n y: int) -> ()\n", 3, "')'"},
        {"interface a.b\nmethod A(x: int,\n x: int) -> ()\n", 3, "'x' appears twice"},
        {"interface a.b\ntype A (x, x)\n", 2, "'x' appears twice"},
        {"interface a.b\nmethod A(x_: int) -> ()\n", 2, "x_"},
        {"interface a.b\nmethod A(_x: int) -> ()\n", 2, "_x"},
        {"interface a.b\nmethod A(x__y: int) -> ()\n", 2, "x__y"},
        {"interface a.b\nmethod A(1x: int) -> ()\n", 2, "1x"},
        {"interface a.b\nmethod A(x: integer) -> ()\n", 2, "integer"},
        {"interface a.b\nmethod A(x: ??int) -> ()\n", 2, "type"},
        {"interface a.b\nmethod A(x: [int]int) -> ()\n", 2, "type"},
        {"interface a.b\nmethod A(x: ) -> ()\n", 2, "type"},
        {"interface a.b\nmethod A(x: int,\n y: Nowhere) -> ()\n", 3, "Nowhere"},
        {"interface a.b\nmethod A(x: E) -> ()\nerror E ()\n", 2, "'E'"},
        {"interface a.b\ntype A (x: int)\nerror A ()\n", 3, "'A' is defined twice"},
        {"interface a.b\nthing A (x: int)\n", 2, "'type', 'method' or 'error'"},
        {"interface a.b\nmethod A(x: int", 2, "')'"},
};

START_TEST(broken_text_is_refused_with_its_line)
{
        AUTO_FREE char *message = NULL;
        char prefix[32];

        snprintf(prefix, sizeof(prefix), "line %u: ", broken[_i].line);
        ck_assert_ptr_null(idl_parse(broken[_i].text, &message));
        ck_assert_ptr_nonnull(message);
        ck_assert_msg(strncmp(message, prefix, strlen(prefix)) == 0, "%s: expected %s", message, prefix);
        ck_assert_msg(strstr(message, broken[_i].word) != NULL, "%s: without %s", message, broken[_i].word);
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
        static char text[400000] = "interface a.b\nmethod A(x: ";
        AUTO_FREE char *message = NULL;

        for (size_t i = 0; i < 100000; i++)
                strcpy(text + 26 + 2 * i, "[]");
        strcat(text, "int) -> ()\n");
        ck_assert_ptr_null(idl_parse(text, &message));
        ck_assert_ptr_nonnull(strstr(message, "nested"));
}
END_TEST

static const struct {
        const char *json;
        const char *field, *expected, *given; /* field NULL: it fits; expected NULL: unknown; given NULL: missing */
} inputs[] = {
        {"{'b': true}", NULL, NULL, NULL},
        {"{'b': true, 'i': null, 'named': null}", NULL, NULL, NULL},
        {"{}", "b", "bool", NULL},
        {"{'b': null}", "b", "bool", "null"},
        {"{'b': 1}", "b", "bool", "1"},
        {"{'b': true, 'unknown': 1}", "unknown", NULL, "1"},
        {"{'unknown': 1}", "unknown", NULL, "1"},
        {"{'b': true, 'i': 9223372036854775807}", NULL, NULL, NULL},
        {"{'b': true, 'i': -3.0}", NULL, NULL, NULL},
        {"{'b': true, 'i': 9007199254740992.0}", NULL, NULL, NULL},
        {"{'b': true, 'i': 9007199254740994.0}", "i", "int", "9007199254740994.0"},
        {"{'b': true, 'i': 1.5}", "i", "int", "1.5"},
        {"{'b': true, 'i': 'x'}", "i", "int", "\"x\""},
        {"{'b': true, 'i': true}", "i", "int", "true"},
        {"{'b': true, 'f': 1}", NULL, NULL, NULL},
        {"{'b': true, 'f': 1.25}", NULL, NULL, NULL},
        {"{'b': true, 'f': '1'}", "f", "float", "\"1\""},
        {"{'b': true, 's': ''}", NULL, NULL, NULL},
        {"{'b': true, 's': 1}", "s", "string", "1"},
        {"{'b': true, 'o': {'any': ['thing']}}", NULL, NULL, NULL},
        {"{'b': true, 'o': []}", "o", "object", "[]"},
        {"{'b': true, 'v': []}", NULL, NULL, NULL},
        {"{'b': true, 'v': null}", NULL, NULL, NULL},
        {"{'b': true, 'list': []}", NULL, NULL, NULL},
        {"{'b': true, 'list': [1, 2, 'x']}", "list[2]", "int", "\"x\""},
        {"{'b': true, 'list': [null]}", "list[0]", "int", "null"},
        {"{'b': true, 'list': {}}", "list", "[]int", "{}"},
        {"{'b': true, 'map': {'a': 1, 'b': null}}", NULL, NULL, NULL},
        {"{'b': true, 'map': {'a': 'x'}}", "map.a", "int", "\"x\""},
        {"{'b': true, 'map': []}", "map", "[string]?int", "[]"},
        {"{'b': true, 'set': {'a': {}}}", NULL, NULL, NULL},
        {"{'b': true, 'set': {'a': {'b': 1}}}", "set.a.b", NULL, "1"},
        {"{'b': true, 'e': 'green'}", NULL, NULL, NULL},
        {"{'b': true, 'e': 'blue'}", "e", "(red, green)", "\"blue\""},
        {"{'b': true, 'e': 1}", "e", "(red, green)", "1"},
        {"{'b': true, 'named': 'two'}", NULL, NULL, NULL},
        {"{'b': true, 'named': 'three'}", "named", "(one, two)", "\"three\""},
        {"{'b': true, 'things': {'t': {'name': 'n', 'kind': 'one', 'deep': [{'x': 1, 'y': 2}]}}}", NULL, NULL, NULL},
        {"{'b': true, 'things': {'t': {'name': 'n', 'kind': 'one', 'deep': [{'x': 1}, {'x': 1, 'y': true}]}}}",
         "things.t.deep[1].y", "float", "true"},
        {"{'b': true, 'things': {'t': {'name': 'n'}}}", "things.t.kind", "(one, two)", NULL},
        {"{'b': true, 'things': {'t': 1}}", "things.t", "Thing", "1"},
};

static json_t *
load(const char *quoted)
{
        AUTO_FREE char *text = strdup(quoted);
        json_error_t error;
        json_t *j;

        for (char *c = text; *c; c++)
                if (*c == '\'')
                        *c = '"';
        j = json_loads(text, 0, &error);
        ck_assert_msg(j != NULL, "%s: %s", text, error.text);
        return j;
}

START_TEST(input_is_checked)
{
        AUTO_JSON json_t *parameters = load(inputs[_i].json);
        AUTO_FREE char *field = NULL, *expected = NULL, *text = NULL;
        json_t *given = NULL;
        int r = idl_check_input(idl, "All", parameters, &field, &expected, &given);

        ck_assert_msg(r == (inputs[_i].field ? -EINVAL : 0), "%s: %d at %s", inputs[_i].json, r, field);
        ck_assert_pstr_eq(field, inputs[_i].field);
        ck_assert_pstr_eq(expected, inputs[_i].expected);
        if (given)
                text = json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY);
        ck_assert_pstr_eq(text, inputs[_i].given);
}
END_TEST

START_TEST(integral_reals_become_integers)
{
        AUTO_JSON json_t *parameters = load("{'b': true, 'i': 1e3, 'list': [2.0], 'map': {'a': -7.0}, 'f': 3.0}");
        char *field, *expected;
        json_t *given;

        ck_assert_int_eq(idl_check_input(idl, "All", parameters, &field, &expected, &given), 0);
        ck_assert_int_eq(json_integer_value(json_object_get(parameters, "i")), 1000);
        ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(parameters, "list"), 0)), 2);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(parameters, "map"), "a")), -7);
        ck_assert(json_is_real(json_object_get(parameters, "f")));
}
END_TEST

START_TEST(long_keys_are_cut_between_characters)
{
        AUTO_JSON json_t *parameters = json_object();
        AUTO_JSON json_t *name = NULL;
        AUTO_FREE char *field = NULL, *expected = NULL;
        json_t *given;
        char key[1001] = "";

        for (size_t i = 0; i < 999; i += 3)
                strcat(key, "€");
        ck_assert_int_eq(json_object_set_new(parameters, key, json_true()), 0);
        ck_assert_int_eq(idl_check_input(idl, "All", parameters, &field, &expected, &given), -EINVAL);
        ck_assert_uint_lt(strlen(field), 80);
        name = json_string(field);
        ck_assert_msg(name != NULL, "not UTF-8");
}
END_TEST

START_TEST(outputs_and_errors_are_checked)
{
        AUTO_JSON json_t *good = load("{'n': 1}"), *bad = load("{'n': 'x'}"), *why = load("{'why': 'because'}");
        AUTO_JSON json_t *empty = json_object();
        AUTO_FREE char *field = NULL, *expected = NULL, *error_field = NULL, *error_expected = NULL;

        ck_assert_int_eq(idl_check_output(idl, "All", good, &field, &expected), 0);
        ck_assert_int_eq(idl_check_error(idl, "Bad", why, &field, &expected), 0);
        ck_assert_int_eq(idl_check_error(idl, "Empty", empty, &field, &expected), 0);
        ck_assert_ptr_null(field);
        ck_assert_int_eq(idl_check_output(idl, "All", bad, &field, &expected), -EINVAL);
        ck_assert_str_eq(field, "n");
        ck_assert_int_eq(idl_check_error(idl, "Empty", why, &error_field, &error_expected), -EINVAL);
        ck_assert_str_eq(error_field, "why");
        ck_assert_ptr_null(error_expected);
}
END_TEST

START_TEST(members_of_another_kind_are_not_found)
{
        AUTO_JSON json_t *empty = json_object();
        char *field, *expected;
        json_t *given;

        ck_assert_int_eq(idl_check_input(idl, "Nowhere", empty, &field, &expected, &given), -ENOENT);
        ck_assert_int_eq(idl_check_input(idl, "Bad", empty, &field, &expected, &given), -ENOENT);
        ck_assert_int_eq(idl_check_output(idl, "Thing", empty, &field, &expected), -ENOENT);
        ck_assert_int_eq(idl_check_error(idl, "All", empty, &field, &expected), -ENOENT);
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("idl");
        TCase *parsing = tcase_create("parsing"), *checking = tcase_create("checking");

        tcase_add_test(parsing, embedded_interfaces_parse);
        tcase_add_loop_test(parsing, broken_text_is_refused_with_its_line, 0, ARRAY_SIZE(broken));
        tcase_add_test(parsing, deep_nesting_is_refused);
        tcase_add_checked_fixture(checking, setup, teardown);
        tcase_add_test(checking, members_are_listed_in_order);
        tcase_add_loop_test(checking, input_is_checked, 0, ARRAY_SIZE(inputs));
        tcase_add_test(checking, integral_reals_become_integers);
        tcase_add_test(checking, long_keys_are_cut_between_characters);
        tcase_add_test(checking, outputs_and_errors_are_checked);
        tcase_add_test(checking, members_of_another_kind_are_not_found);
        suite_add_tcase(suite, parsing);
        suite_add_tcase(suite, checking);
        return run_suite(suite);
}
