/* SPDX-License-Identifier: MIT */
#include "shared/base.h"
#include "shared/varlink.h"

#include "run_suite.h"

#include <check.h>
#include <string.h>

/* Text and length of a literal that may contain NULs. */
#define MESSAGE(text) (text), sizeof(text) - 1

static const struct {
        const char *text;
        size_t len;
} malformed_calls[] = {
        /* truncated, or not JSON at all */
        {MESSAGE("")},
        {MESSAGE(" ")},
        {MESSAGE("{")},
        {MESSAGE("{\"method\"")},
        {MESSAGE("{\"method\":\"a.B\"")},
        {MESSAGE("{\"method\":\"a.B")},
        {MESSAGE("{\"method\":\"a.B\",}")},
        {MESSAGE("{'method':'a.B'}")},
        {MESSAGE("{method:\"a.B\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":01}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":+1}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":NaN}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":1e999}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"a\nb\"}}")},
        {MESSAGE("GET / HTTP/1.1\r\n\r\n")},
        {MESSAGE("\xef\xbb\xbf{\"method\":\"a.B\"}")},
        /* not an object */
        {MESSAGE("[]")},
        {MESSAGE("[{\"method\":\"a.B\"}]")},
        {MESSAGE("\"a.B\"")},
        {MESSAGE("null")},
        {MESSAGE("1")},
        /* something behind it */
        {MESSAGE("{\"method\":\"a.B\"}x")},
        {MESSAGE("{\"method\":\"a.B\"}{\"method\":\"a.B\"}")},
        {MESSAGE("{\"method\":\"a.B\"} {}")},
        {MESSAGE("{\"method\":\"a.B\"},")},
        {MESSAGE("{\"method\":\"a.B\"}\0")},
        {MESSAGE("{\"method\":\"a.B\"}\0{\"method\":\"a.B\"}")},
        /* NUL within */
        {MESSAGE("{\"method\":\"a.B\0\"}")},
        {MESSAGE("{\"method\":\"a.B\\u0000\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\\u0000y\":1}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\\u0000\"}}")},
        /* not UTF-8 */
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\xff\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\xc3\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\xc0\xaf\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\xed\xa0\x80\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\xf4\x90\x80\x80\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":\"\\ud800\"}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"\xff\":1}}")},
        /* duplicate keys, at any depth */
        {MESSAGE("{\"method\":\"a.B\",\"method\":\"a.B\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"more\":true,\"more\":false}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{},\"parameters\":{}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":1,\"x\":2}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"x\":[{\"y\":1,\"\\u0079\":2}]}}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":{\"big\":99999999999999999999,\"x\":1,\"x\":2}}")},
        /* unknown keys */
        {MESSAGE("{\"method\":\"a.B\",\"id\":1}")},
        {MESSAGE("{\"method\":\"a.B\",\"\":1}")},
        {MESSAGE("{\"method\":\"a.B\",\"Method\":\"a.B\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"continues\":true}")},
        {MESSAGE("{\"method\":\"a.B\",\"error\":\"a.B\"}")},
        /* wrong types */
        {MESSAGE("{\"method\":1}")},
        {MESSAGE("{\"method\":null}")},
        {MESSAGE("{\"method\":[\"a.B\"]}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":[]}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":\"{}\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":0}")},
        {MESSAGE("{\"method\":\"a.B\",\"parameters\":false}")},
        {MESSAGE("{\"method\":\"a.B\",\"more\":1}")},
        {MESSAGE("{\"method\":\"a.B\",\"more\":\"true\"}")},
        {MESSAGE("{\"method\":\"a.B\",\"oneway\":null}")},
        {MESSAGE("{\"method\":\"a.B\",\"upgrade\":{}}")},
        /* no method */
        {MESSAGE("{}")},
        {MESSAGE("{\"method\":\"\"}")},
        {MESSAGE("{\"parameters\":{}}")},
        /* more than one of oneway, more, upgrade */
        {MESSAGE("{\"method\":\"a.B\",\"oneway\":true,\"more\":true}")},
        {MESSAGE("{\"method\":\"a.B\",\"oneway\":true,\"upgrade\":true}")},
        {MESSAGE("{\"method\":\"a.B\",\"more\":true,\"upgrade\":true}")},
        {MESSAGE("{\"method\":\"a.B\",\"oneway\":true,\"more\":true,\"upgrade\":true}")},
};

START_TEST(malformed_call_is_refused)
{
        struct varlink_call call, before;
        const char *why = NULL;

        memset(&call, 0x5a, sizeof(call));
        before = call;
        ck_assert_msg(varlink_call_decode(malformed_calls[_i].text, malformed_calls[_i].len, &call, &why) ==
                              VARLINK_E_MALFORMED,
                      "accepted: %s", malformed_calls[_i].text);
        ck_assert_mem_eq(&call, &before, sizeof(call));
        ck_assert_ptr_nonnull(why);
        ck_assert_str_ne(why, "");
        ck_assert_str_ne(why, "out of memory");
        ck_assert_int_eq(varlink_call_decode(malformed_calls[_i].text, malformed_calls[_i].len, &call, NULL),
                         VARLINK_E_MALFORMED);
}
END_TEST

static const struct {
        const char *text, *why;
} reasons[] = {
        {"{\"method\":\"a.B\"", "the message ends too early"},
        {"{\"method\":\"a.B\"}x", "something follows the object"},
        {"{\"method\":\"a.B\",\"method\":\"a.B\"}", "a key occurs twice"},
        {"{\"method\":\"\xff\"}", "not UTF-8"},
        {"{\"method\":\"\\u0000\"}", "a NUL character"},
        {"{\"method\":\"a.B\",\"parameters\":{\"x\":1e999}}", "a number beyond all range"},
        {"{\"method\" \"a.B\"}", "not JSON"},
        {"[]", "not an object"},
        {"{\"method\":\"a.B\",\"id\":1}", "an unknown key"},
        {"{\"method\":1}", "a name that is not a string"},
        {"{\"method\":\"a.B\",\"more\":1}", "a flag that is neither true nor false"},
        {"{\"method\":\"a.B\",\"parameters\":1}", "parameters that are not an object"},
        {"{}", "no method"},
        {"{\"method\":\"a.B\",\"more\":true,\"oneway\":true}", "more than one of oneway, more and upgrade"},
};

START_TEST(reason_is_told)
{
        struct varlink_call call;
        const char *why = NULL;

        ck_assert_int_eq(varlink_call_decode(reasons[_i].text, strlen(reasons[_i].text), &call, &why),
                         VARLINK_E_MALFORMED);
        ck_assert_str_eq(why, reasons[_i].why);
}
END_TEST

static const struct {
        const char *text, *method, *parameters;
        bool oneway, more, upgrade;
} good_calls[] = {
        {"{\"method\":\"a.B\"}", "a.B", "{}", false, false, false},
        {" \t\r\n{ \"method\" : \"a.B\" } \n", "a.B", "{}", false, false, false},
        {"{\"method\":\"a.B\",\"parameters\":{}}", "a.B", "{}", false, false, false},
        {"{\"method\":\"a.B\",\"parameters\":null}", "a.B", "{}", false, false, false},
        {"{\"parameters\":{\"x\":[1,{\"y\":null}]},\"method\":\"a.B\"}", "a.B",
         "{\"x\":[1,{\"y\":null}]}", false, false, false},
        {"{\"method\":\"a.B\",\"more\":true}", "a.B", "{}", false, true, false},
        {"{\"method\":\"a.B\",\"oneway\":true}", "a.B", "{}", true, false, false},
        {"{\"method\":\"a.B\",\"upgrade\":true}", "a.B", "{}", false, false, true},
        {"{\"method\":\"a.B\",\"oneway\":false,\"more\":true,\"upgrade\":false}", "a.B", "{}", false, true, false},
        {"{\"method\":\"no method's name\"}", "no method's name", "{}", false, false, false},
        {"{\"method\":\"a.B\",\"parameters\":{\"x\":\"\\u00b5\xf0\x9f\x90\xa7\"}}", "a.B",
         "{\"x\":\"\u00b5\xf0\x9f\x90\xa7\"}", false, false, false},
        {"{\"method\":\"a.B\",\"parameters\":{\"x\":9223372036854775807,\"y\":-9223372036854775808}}", "a.B",
         "{\"x\":9223372036854775807,\"y\":-9223372036854775808}", false, false, false},
};

START_TEST(good_call_is_read)
{
        AUTO_JSON json_t *expected = json_loads(good_calls[_i].parameters, 0, NULL);
        struct varlink_call call;
        const char *why = "nothing";

        ck_assert_msg(varlink_call_decode(good_calls[_i].text, strlen(good_calls[_i].text), &call, &why) == VARLINK_OK,
                      "%s: %s", good_calls[_i].text, why);
        ck_assert_str_eq(call.method, good_calls[_i].method);
        ck_assert(json_equal(call.parameters, expected));
        ck_assert_int_eq(call.oneway, good_calls[_i].oneway);
        ck_assert_int_eq(call.more, good_calls[_i].more);
        ck_assert_int_eq(call.upgrade, good_calls[_i].upgrade);
        varlink_call_deinit(&call);
}
END_TEST

/* Every shorter beginning of a message is refused: a lost tail cannot pass for a smaller request. */
START_TEST(every_truncation_is_refused)
{
        static const char text[] = "{\"method\":\"org.concd.Run\",\"parameters\":{\"count\":1000,"
                                   "\"mode\":\"gil\"},\"more\":true}";
        struct varlink_call call;

        for (size_t len = 0; len < sizeof(text) - 1; len++) {
                AUTO_FREE char *exact = malloc(len + 1); /* so that a sanitizer sees reading behind the end */

                memcpy(exact, text, len);
                ck_assert_int_eq(varlink_call_decode(exact, len, &call, NULL), VARLINK_E_MALFORMED);
        }
        ck_assert_int_eq(varlink_call_decode(text, sizeof(text) - 1, &call, NULL), VARLINK_OK);
        varlink_call_deinit(&call);
}
END_TEST

/* {"method":"a.B","parameters":{"x":[[[…]]]}}, or with objects. */
static char *
nested_message(size_t depth, bool is_object, bool is_closed, size_t *ret_len)
{
        const char *open = is_object ? "{\"x\":" : "[", *close = is_object ? "}" : "]";
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_len);

        fprintf(f, "{\"method\":\"a.B\",\"parameters\":{\"x\":");
        for (size_t i = 0; i < depth; i++)
                fputs(open, f);
        fputs("0", f);
        for (size_t i = 0; is_closed && i < depth; i++)
                fputs(close, f);
        if (is_closed)
                fputs("}}", f);
        fclose(f);
        return text;
}

START_TEST(deep_nesting_is_refused_and_does_not_crash)
{
        static const size_t depths[] = {2046, 5000, 100000};
        bool is_object = _i & 1, is_closed = _i & 2;

        for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
                struct varlink_call call;
                const char *why = NULL;
                size_t len;
                AUTO_FREE char *text = nested_message(depths[i], is_object, is_closed, &len);

                ck_assert_int_eq(varlink_call_decode(text, len, &call, &why), VARLINK_E_MALFORMED);
                ck_assert_str_eq(why, "nested too deeply");
        }
}
END_TEST

START_TEST(allowed_nesting_is_read_written_and_freed)
{
        struct varlink_call call;
        size_t len, written;
        AUTO_FREE char *text = nested_message(2000, _i, true, &len);

        ck_assert_int_eq(varlink_call_decode(text, len, &call, NULL), VARLINK_OK);

        AUTO_FREE char *again = varlink_call_encode(call.method, call.parameters, false, false, &written);

        ck_assert_uint_eq(written, len + 1);
        ck_assert_str_eq(again, text);
        varlink_call_deinit(&call);
}
END_TEST

START_TEST(call_of_the_greatest_length_is_read_and_a_longer_one_not)
{
        static const char head[] = "{\"method\":\"a.B\"}";
        AUTO_FREE char *text = malloc(VARLINK_MESSAGE_MAX);
        struct varlink_call call;

        memset(text, ' ', VARLINK_MESSAGE_MAX);
        memcpy(text, head, sizeof(head) - 1);
        ck_assert_int_eq(varlink_call_decode(text, VARLINK_MESSAGE_MAX, &call, NULL), VARLINK_E_MALFORMED);
        ck_assert_int_eq(varlink_call_decode(text, VARLINK_MESSAGE_MAX - 1, &call, NULL), VARLINK_OK);
        varlink_call_deinit(&call);
}
END_TEST

static const struct {
        const char *text;
        double value;
} large_numbers[] = {
        {"9223372036854775808", 9223372036854775808.0},
        {"-9223372036854775809", -9223372036854775808.0},
        {"18446744073709551616", 18446744073709551616.0},
        {"1000000000000000000000000000000", 1e30},
};

/* Whoever checks the parameters is to name the field, so the message must arrive. */
START_TEST(integer_beyond_64_bits_arrives_as_real)
{
        AUTO_FREE char *text = NULL;
        struct varlink_call call;
        int len = asprintf(&text, "{\"method\":\"a.B\",\"parameters\":{\"small\":7,\"big\":%s},\"more\":true}",
                           large_numbers[_i].text);

        ck_assert_int_gt(len, 0);
        ck_assert_int_eq(varlink_call_decode(text, (size_t)len, &call, NULL), VARLINK_OK);
        ck_assert_str_eq(call.method, "a.B");
        ck_assert(call.more);

        json_t *big = json_object_get(call.parameters, "big"), *small = json_object_get(call.parameters, "small");

        ck_assert(json_is_real(big));
        ck_assert(json_real_value(big) == large_numbers[_i].value);
        ck_assert(json_is_real(small));
        ck_assert(json_real_value(small) == 7);
        varlink_call_deinit(&call);
}
END_TEST

static const char *const malformed_replies[] = {
        "",
        "[]",
        "{",
        "{}{}",
        "{\"parameters\":[]}",
        "{\"parameters\":{\"x\":1,\"x\":1}}",
        "{\"continues\":1}",
        "{\"continues\":null}",
        "{\"error\":null}",
        "{\"error\":1}",
        "{\"error\":\"\"}",
        "{\"error\":\"BadValue\"}",
        "{\"error\":\"org.concd.badValue\"}",
        "{\"method\":\"a.B\"}",
        "{\"more\":true}",
        "{\"Error\":\"org.concd.BadValue\"}",
};

START_TEST(malformed_reply_is_refused)
{
        struct varlink_reply reply, before;
        const char *why = NULL;

        memset(&reply, 0x5a, sizeof(reply));
        before = reply;
        ck_assert_msg(varlink_reply_decode(malformed_replies[_i], strlen(malformed_replies[_i]), &reply, &why) ==
                              VARLINK_E_MALFORMED,
                      "accepted: %s", malformed_replies[_i]);
        ck_assert_mem_eq(&reply, &before, sizeof(reply));
        ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(empty_reply_has_empty_parameters)
{
        struct varlink_reply reply;

        ck_assert_int_eq(varlink_reply_decode("{}", 2, &reply, NULL), VARLINK_OK);
        ck_assert(json_is_object(reply.parameters));
        ck_assert_uint_eq(json_object_size(reply.parameters), 0);
        ck_assert_ptr_null(reply.error);
        ck_assert(!reply.continues);
        varlink_reply_deinit(&reply);
}
END_TEST

START_TEST(long_reply_is_read)
{
        size_t len;
        AUTO_JSON json_t *parameters = json_object();
        json_t *list = json_array();
        struct varlink_reply reply;

        for (int i = 0; i < 300000; i++)
                json_array_append_new(list, json_integer(1000000 + i));
        json_object_set_new(parameters, "list", list);

        AUTO_FREE char *text = varlink_reply_encode(NULL, parameters, false, &len);

        ck_assert_uint_gt(len, 2 * VARLINK_MESSAGE_MAX);
        ck_assert_int_eq(varlink_reply_decode(text, len - 1, &reply, NULL), VARLINK_OK);
        ck_assert(json_equal(reply.parameters, parameters));
        varlink_reply_deinit(&reply);
}
END_TEST

START_TEST(call_round_trip)
{
        bool more = _i == 1, oneway = _i == 2;
        AUTO_JSON json_t *parameters = json_pack("{s:i, s:s, s:n, s:[b,f], s:I}", "n", 1, "text", "a\"\\\n\u00b5/",
                                                 "none", "list", 1, 0.1, "min", (json_int_t)INT64_MIN);
        size_t len = 0;
        AUTO_FREE char *text = varlink_call_encode("org.concd.Run", parameters, more, oneway, &len);
        struct varlink_call call;

        ck_assert_ptr_nonnull(text);
        ck_assert_uint_eq(len, strlen(text) + 1);
        ck_assert_int_eq(varlink_call_decode(text, len - 1, &call, NULL), VARLINK_OK);
        ck_assert_str_eq(call.method, "org.concd.Run");
        ck_assert(json_equal(call.parameters, parameters));
        ck_assert_int_eq(call.more, more);
        ck_assert_int_eq(call.oneway, oneway);
        ck_assert(!call.upgrade);
        ck_assert_uint_eq(parameters->refcount, 1); /* neither consumed nor kept */
        varlink_call_deinit(&call);
}
END_TEST

START_TEST(reply_round_trip)
{
        const char *error = _i & 1 ? "org.concd.BadValue" : NULL;
        bool continues = _i & 2;
        AUTO_JSON json_t *parameters = json_pack("{s:s}", "field", "count");
        size_t len = 0;
        AUTO_FREE char *text = varlink_reply_encode(error, parameters, continues, &len);
        struct varlink_reply reply;

        ck_assert_uint_eq(len, strlen(text) + 1);
        ck_assert_int_eq(varlink_reply_decode(text, len - 1, &reply, NULL), VARLINK_OK);
        ck_assert_pstr_eq(reply.error, error);
        ck_assert_int_eq(reply.continues, continues);
        ck_assert(json_equal(reply.parameters, parameters));
        ck_assert_uint_eq(parameters->refcount, 1);
        varlink_reply_deinit(&reply);
}
END_TEST

START_TEST(encoding_is_compact)
{
        AUTO_JSON json_t *parameters = json_pack("{s:i, s:[i,i]}", "a", 1, "b", 2, 3);
        size_t len;
        AUTO_FREE char *bare = varlink_call_encode("a.B", NULL, false, false, &len);
        AUTO_FREE char *call = varlink_call_encode("a.B", parameters, true, false, &len);
        AUTO_FREE char *oneway = varlink_call_encode("a.B", NULL, false, true, &len);
        AUTO_FREE char *empty = varlink_reply_encode(NULL, NULL, false, &len);
        AUTO_FREE char *reply = varlink_reply_encode("a.B", parameters, true, &len);

        ck_assert_str_eq(bare, "{\"method\":\"a.B\"}");
        ck_assert_str_eq(call, "{\"method\":\"a.B\",\"parameters\":{\"a\":1,\"b\":[2,3]},\"more\":true}");
        ck_assert_str_eq(oneway, "{\"method\":\"a.B\",\"oneway\":true}");
        ck_assert_str_eq(empty, "{}");
        ck_assert_str_eq(reply, "{\"error\":\"a.B\",\"parameters\":{\"a\":1,\"b\":[2,3]},\"continues\":true}");
}
END_TEST

START_TEST(reals_have_twelve_digits)
{
        AUTO_JSON json_t *parameters = json_pack("{s:f, s:f, s:f}", "a", 0.1, "b", 1.0 / 3, "c", 1769860800.25);
        size_t len;
        AUTO_FREE char *text = varlink_reply_encode(NULL, parameters, false, &len);

        ck_assert_str_eq(text, "{\"parameters\":{\"a\":0.1,\"b\":0.333333333333,\"c\":1769860800.25}}");
}
END_TEST

START_TEST(parameters_that_contain_themselves_cannot_be_written)
{
        json_t *parameters = json_object(), *list = json_array();
        size_t len = 4711;

        json_object_set_new(parameters, "list", list);
        json_array_append(list, parameters);
        ck_assert_ptr_null(varlink_reply_encode(NULL, parameters, false, &len));
        ck_assert_uint_eq(len, 4711);
        json_array_clear(list);
        json_decref(parameters);
}
END_TEST

static const struct {
        const char *name;
        bool is_valid;
} names[] = {
        {"org.varlink.service.GetInfo", true},
        {"org.concd.Run", true},
        {"a.b.C", true},
        {"a.B.C", true},
        {"a.0.C", true},
        {"a-b.c--d.C9x", true},
        {"xn--lgbbat1ad8j.example.algeria.Method", true},
        {"", false},
        {".", false},
        {"Run", false},
        {"concd.Run", false}, /* an interface has two elements at least */
        {"org.concd.run", false},
        {"org.concd.", false},
        {"org.concd.9", false},
        {"org.concd.R_n", false},
        {"org.concd.R-n", false},
        {"org.concd.Run ", false},
        {" org.concd.Run", false},
        {"org..Run", false},
        {"org..concd.Run", false},
        {".org.concd.Run", false},
        {"9org.concd.Run", false},
        {"-org.concd.Run", false},
        {"org-.concd.Run", false},
        {"org.-concd.Run", false},
        {"org.concd-.Run", false},
        {"org.con_cd.Run", false},
        {"org.concd.R\u00fcn", false},
        {"\u00f6rg.concd.Run", false},
};

START_TEST(name_grammar)
{
        ck_assert_msg(varlink_method_is_valid(names[_i].name) == names[_i].is_valid, "\"%s\"", names[_i].name);
}
END_TEST

/* jansson's memory, of which the n-th piece from now on is refused; 0: all are given. */
static unsigned refuse_in;
static int pieces;

static void *
counting_malloc(size_t size)
{
        if (refuse_in > 0 && --refuse_in == 0)
                return NULL;
        pieces++;
        return malloc(size);
}

static void
counting_free(void *p)
{
        pieces -= p != NULL;
        free(p);
}

/* Refuses each piece of memory in turn until all were given. */
START_TEST(lack_of_memory_in_decoding_neither_crashes_nor_leaks)
{
        static const char text[] = "{\"method\":\"a.B\",\"parameters\":{\"x\":[1,2.5,\"y\",{\"z\":null}],"
                                   "\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}}";
        unsigned tried = 0, told = 0;
        int r;

        json_set_alloc_funcs(counting_malloc, counting_free);
        do {
                struct varlink_call call;
                const char *why = NULL;

                refuse_in = ++tried;
                r = varlink_call_decode(text, sizeof(text) - 1, &call, &why);
                if (r == VARLINK_OK)
                        varlink_call_deinit(&call);
                else
                        ck_assert_ptr_nonnull(why);
                told += r == VARLINK_E_MEMORY;
                ck_assert_msg(pieces == 0, "piece %u refused: %d leaked", tried, pieces);
        } while (refuse_in == 0);
        ck_assert_int_eq(r, VARLINK_OK);
        ck_assert_uint_gt(told, 20);
        refuse_in = 0;
}
END_TEST

START_TEST(lack_of_memory_in_encoding_is_null)
{
        AUTO_JSON json_t *parameters = json_pack("{s:s, s:[i,i]}", "text", "y", "list", 1, 2);
        size_t whole_len;
        AUTO_FREE char *whole = varlink_call_encode("a.B", parameters, true, false, &whole_len);
        unsigned refused = 0;
        bool is_whole;

        json_set_alloc_funcs(counting_malloc, counting_free);
        do {
                size_t len;

                refuse_in = ++refused;

                char *text = varlink_call_encode("a.B", parameters, true, false, &len);

                if (text)
                        ck_assert_str_eq(text, whole);
                else
                        ck_assert_uint_eq(refuse_in, 0);
                is_whole = text != NULL;
                free(text);
        } while (refuse_in == 0);
        ck_assert(is_whole);
        ck_assert_uint_gt(refused, 5);
        refuse_in = 0;
}
END_TEST

int
main(void)
{
        Suite *suite = suite_create("varlink");
        TCase *c = tcase_create("decode");

        tcase_add_loop_test(c, malformed_call_is_refused, 0, ARRAY_SIZE(malformed_calls));
        tcase_add_loop_test(c, reason_is_told, 0, ARRAY_SIZE(reasons));
        tcase_add_loop_test(c, good_call_is_read, 0, ARRAY_SIZE(good_calls));
        tcase_add_test(c, every_truncation_is_refused);
        tcase_add_loop_test(c, deep_nesting_is_refused_and_does_not_crash, 0, 4);
        tcase_add_loop_test(c, allowed_nesting_is_read_written_and_freed, 0, 2);
        tcase_add_test(c, call_of_the_greatest_length_is_read_and_a_longer_one_not);
        tcase_add_loop_test(c, integer_beyond_64_bits_arrives_as_real, 0, ARRAY_SIZE(large_numbers));
        tcase_add_loop_test(c, malformed_reply_is_refused, 0, ARRAY_SIZE(malformed_replies));
        tcase_add_test(c, empty_reply_has_empty_parameters);
        tcase_add_test(c, long_reply_is_read);
        tcase_add_loop_test(c, name_grammar, 0, ARRAY_SIZE(names));
        suite_add_tcase(suite, c);

        c = tcase_create("encode");
        tcase_add_loop_test(c, call_round_trip, 0, 3);
        tcase_add_loop_test(c, reply_round_trip, 0, 4);
        tcase_add_test(c, encoding_is_compact);
        tcase_add_test(c, reals_have_twelve_digits);
        tcase_add_test(c, parameters_that_contain_themselves_cannot_be_written);
        suite_add_tcase(suite, c);

        c = tcase_create("memory");
        tcase_add_test(c, lack_of_memory_in_decoding_neither_crashes_nor_leaks);
        tcase_add_test(c, lack_of_memory_in_encoding_is_null);
        suite_add_tcase(suite, c);

        return run_suite(suite);
}
