/* SPDX-License-Identifier: MIT */
/*
 * The keys of the configuration, one row for each of CONFIG_KEYS, and what can be done with one value: read it from
 * text, put it into a struct config, take it out, compare it. Where in a struct config a value lies is known to
 * config-key.c alone.
 */
#ifndef CONCD_CONFIG_KEY_H
#define CONCD_CONFIG_KEY_H

#include "config/config.h"

enum key_type { KEY_COUNT, KEY_DURATION, KEY_MODE, KEY_BOOL, KEY_LEVEL, KEY_STRING, KEY_USERS, KEY_GROUPS };
enum key_reload { KEY_LIVE, KEY_RESTART };

struct config_key {
        const char *section, *name, *full_name;
        size_t offset; /* of the member in struct config */
        enum key_type type;
        uint64_t min, max;
        const char *def;
        enum key_reload reload;
        const char *help;
};

enum {
#define X(...) +1
        N_KEYS = CONFIG_KEYS(X)
#undef X
};

/* In the order of CONFIG_KEYS. */
extern const struct config_key config_keys[N_KEYS];

union config_value {
        uint64_t number; /* COUNT, DURATION, MODE */
        bool flag;
        int level;
        char *text;         /* owned */
        struct id_list ids; /* owned */
};

/* Room for the longest of the texts that describe what a key allows. */
#define RANGE_TEXT_MAX 128

/* The key named "section.key", or NULL. */
const struct config_key *config_key_find(const char *full_name);

/* The key of the member of struct config at this offset; every member has one. */
const struct config_key *config_key_at(size_t offset);

/* Is there a section of this name, of len bytes? */
bool config_section_exists(const char *section, size_t len);

/* The name among the keys' ("section.key"), or the sections', that is nearest to what was given. */
const char *config_key_nearest(const char *given);
const char *config_section_nearest(const char *given);

/* What the key allows, in words. Returns buf. */
char *config_key_range(const struct config_key *key, char buf[RANGE_TEXT_MAX]);

/* Of a COUNT, DURATION or MODE key: its value in c. */
uint64_t config_key_number(const struct config_key *key, const struct config *c);

/* 0, -EINVAL when the key does not allow what was given, -ENOMEM; of a list -EAGAIN, too, as of id_list_parse(), which
 * blocks, and with -EINVAL and -EAGAIN *ret_why; else that stays as it is. A STRING's text and a list are new ones. */
int config_value_parse(const struct config_key *key, const char *given, union config_value *ret, char **ret_why);

/* Gives the value to the configuration, and frees what it takes the place of. */
void config_value_store(const struct config_key *key, struct config *c, const union config_value *value);

/* Copies a value out of the configuration. 0 or -ENOMEM. */
int config_value_copy(const struct config_key *key, const struct config *c, union config_value *ret);

/* Frees what the value in c owns. */
void config_value_free(const struct config_key *key, struct config *c);

bool config_value_differs(const struct config_key *key, const struct config *a, const struct config *b);

#endif
