/* SPDX-License-Identifier: MIT */
/*
 * Bytes on a connection, as the daemon reads them: framing, JSON, the check against the interface, the checks of a
 * request. The service is the real one, on a socket pair; its handlers do what can be done without workers. The same
 * bytes are then taken for replies, as concctl reads them.
 */
#include "fuzz.h"
#include "protocol/idl.h"
#include "protocol/service-private.h"
#include "shared/log.h"
#include "shared/varlink.h"
#include "supervisor/request.h"

#include <string.h>
#include <sys/socket.h>

static struct event_base *base;
static struct service *service;
static unsigned answered;

static void
handle_run(void *userdata, struct call *call, json_t *p)
{
        struct request_limits limits = {.max_workers = 8, .ledger_chunks = 64, .max_at_once = 100};
        struct bad_value bad = {0};
        struct variant variant;
        uint64_t deadline_ns;
        int r;

        answered++;
        CPU_SET(0, &limits.cpus);
        CPU_SET(1, &limits.cpus);
        r = request_parse_run(p, &limits, &variant, &deadline_ns, &bad);
        if (r < 0) {
                MUST(bad.field && bad.given && bad.allowed && *bad.allowed);
                call_bad_value(call, bad.field, bad.allowed, "%s", bad.given);
        } else {
                AUTO_JSON json_t *again = request_of_variant(p, &variant, deadline_ns);
                uint64_t deadline_again;
                struct variant same;

                MUST(request_parse_run(again, &limits, &same, &deadline_again, &bad) == 0);
                MUST(same.workers == variant.workers && same.count == variant.count && same.spawn == variant.spawn &&
                     same.mode == variant.mode && CPU_EQUAL(&same.cpus, &variant.cpus));
                call_error(call, "Busy", json_pack("{s:s, s:i}", "what", "fuzzing", "limit", 1));
        }
        bad_value_deinit(&bad);
}

static void
handle_other(void *userdata, struct call *call, json_t *p)
{
        answered++;
        call_error(call, "NotPermitted", json_pack("{s:s}", "what", "fuzzing"));
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
        static const struct service_info info = {.vendor = "v", .product = "p", .version = "1", .url = ""};
        static struct service_method methods[32];
        const struct service_limits limits = {100, 100, 65536, 1 << 20, 30 * NS_PER_S};
        char *message = NULL;
        struct idl *idl = idl_parse(idl_org_concd, &message);

        for (size_t i = 0; idl_method(idl, i); i++)
                methods[i] = (struct service_method){
                        .name = strdup(idl_method(idl, i)),
                        .handle = strcmp(idl_method(idl, i), "Run") == 0 ? handle_run : handle_other,
                        .allowed = request_allowed,
                };
        idl_free(idl);
        log_set_level(LOG_LEVEL_ALERT);
        base = event_base_new();
        MUST(base && service_new(base, &info, idl_org_concd, methods, NULL, &service) == 0);
        service_set_limits(service, &limits);
        return 0;
}

/* What the service said must be whole messages; returns how many. */
static unsigned
read_replies(int fd)
{
        static char buf[1 << 20];
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        unsigned messages = 0;

        if (n <= 0)
                return 0;
        MUST(buf[n - 1] == 0);
        for (char *p = buf; p < buf + n; p += strlen(p) + 1) {
                struct varlink_reply reply;

                MUST(varlink_reply_decode(p, strlen(p), &reply, NULL) == VARLINK_OK);
                varlink_reply_deinit(&reply);
                messages++;
        }
        return messages;
}

static void
to_service(const uint8_t *data, size_t size)
{
        const struct peer peer = {.pid = 1};
        int pair[2];

        answered = 0;
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
        MUST(session_new(service, pair[0], &peer) == 0);
        if (size > 0 && send(pair[1], data, size, MSG_NOSIGNAL) < 0)
                size = 0;
        shutdown(pair[1], SHUT_WR);
        /* In one turn it does not handle all requests, but more than 100 bytes of them. */
        for (size_t i = 0; i < 100 + size / 100 && service_clients(service) > 0; i++)
                event_base_loop(base, EVLOOP_NONBLOCK);
        MUST(service_clients(service) == 0);
        read_replies(pair[1]);
        close(pair[1]);
}

/* Each message alone: what is read can be written, and then reads the same. */
static void
to_decoder(const char *message, size_t len)
{
        struct varlink_call call, again;
        struct varlink_reply reply;
        const char *why = NULL;
        size_t written;
        char *text;

        if (varlink_reply_decode(message, len, &reply, &why) == VARLINK_OK)
                varlink_reply_deinit(&reply);
        else
                MUST(why && *why);
        if (varlink_call_decode(message, len, &call, NULL) != VARLINK_OK)
                return;
        text = varlink_call_encode(call.method, call.parameters, call.more, call.oneway, &written);
        if (text && !call.upgrade) {
                MUST(strlen(text) + 1 == written);
                MUST(varlink_call_decode(text, written - 1, &again, NULL) == VARLINK_OK);
                MUST(strcmp(again.method, call.method) == 0 && again.more == call.more);
                varlink_call_deinit(&again);
        }
        free(text);
        varlink_call_deinit(&call);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        for (size_t at = 0; at < size;) {
                const uint8_t *nul = memchr(data + at, 0, size - at);
                size_t len = nul ? (size_t)(nul - data) - at : size - at;

                to_decoder((const char *)data + at, len);
                at += len + 1;
        }
        to_service(data, size);
        return 0;
}
