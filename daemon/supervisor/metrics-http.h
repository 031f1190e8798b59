/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP server on a Unix socket: GET or HEAD of /metrics, one request a connection. It runs on the supervisor's
 * event loop, never blocks, and without a connection it costs nothing: no timer is pending then.
 */
#ifndef CONCD_METRICS_HTTP_H
#define CONCD_METRICS_HTTP_H

#include "shared/base.h"

struct supervisor;
struct metrics_http;

/* Listens on the configuration's metrics.socket; when that is empty *ret is NULL. 0 or -errno, logged. A socket on
 * which nobody listens is a dead daemon's and is replaced, anything else in its place is an error. */
int metrics_http_start(struct supervisor *s, struct metrics_http **ret);

/* Ends all connections and removes the socket. When the loop of the supervisor's events has ended, before its base is
 * freed. Takes NULL. */
void metrics_http_stop(struct metrics_http *h);

#endif
