/* SPDX-License-Identifier: MIT */
/* The top of a report: what to know before anything else, and the verdict on each variant. */
#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/report-part.h"
#include "ctl/text.h"

#include <inttypes.h>
#include <string.h>

#define ROUNDS_LEAST 10 /* rounds without which there is no verdict */

/* ── what to know before ── */

static void
put_state(const struct report *r)
{
        const char *state = field_text(r->compare, "state"), *reason = field_text(r->compare, "reason");
        int64_t rounds = field_int(r->compare, "rounds");
        char asked[64] = "", of[64], text[64];

        if (*state && strcmp(state, "done") != 0)
                report_note(r, "notice bad", "This comparison was not completed: %s%s%s.", state, *reason ? ": " : "",
                            reason);
        if (field_is_set(r->compare, "rounds_asked"))
                snprintf(asked, sizeof(asked), " of %s that were asked for",
                         text_count(of, sizeof(of), field_int(r->compare, "rounds_asked")));
        if (field_bool(r->compare, "partial"))
                report_note(r, "notice", "Partial: only %s%s %s measured. What follows is about them.",
                            text_plural(text, sizeof(text), rounds, "round"), asked, rounds == 1 ? "was" : "were");
        if (field_is_set(r->compare, "precision") && !field_bool(r->compare, "precision_reached"))
                report_note(r, "notice",
                            "The precision that was asked for, ±%.3g %%, was not reached within %s: the intervals are "
                            "wider.",
                            field_real(r->compare, "precision") * 100,
                            text_plural(text, sizeof(text), rounds, "round"));
}

static void
put_trust(const struct report *r)
{
        double reach;

        switch (compare_variant_trust(r->compare, &reach)) {
        case TRUST_NOT_ASKED:
                return;
        case TRUST_TOO_FEW_ROUNDS:
                report_note(r, "notice",
                            "One variant was run against itself, with too few rounds to say whether this machine can "
                            "be trusted.");
                return;
        case TRUST_NO_RATIO:
                report_note(r, "notice",
                            "One variant was run against itself, but a round had no task: it cannot be told whether "
                            "this machine can be trusted.");
                return;
        case TRUST_GOOD:
                report_note(r, "notice",
                            "One variant was run against itself. The interval of the ratio contains 1, as it must: "
                            "this machine can be trusted now.");
                return;
        case TRUST_NOISY:
                report_note(r, "notice bad",
                            "One variant was run against itself. The interval of the ratio contains 1, as it must, but "
                            "this machine is noisy now: only differences beyond ±%.2g %% can be told.",
                            100 * reach);
                return;
        case TRUST_BAD:
                report_note(r, "notice bad",
                            "One variant was run against itself, and the interval of the ratio does not contain 1: "
                            "this machine cannot be trusted now. Something else disturbs it.");
        }
}

static void
put_damage(const struct report *r)
{
        const char *sanitizer = field_text(json_object_get(r->compare, "environment"), "sanitizer");
        int64_t resumed = field_int(r->compare, "resumed");
        json_t *variant;
        char text[64];
        size_t i;

        json_array_foreach(r->variants, i, variant)
        {
                int64_t failed = field_int(variant, "failed");

                if (failed > 0)
                        report_note(r, "notice bad",
                                    "%s: %s failed, so that its times are not those of the whole work.",
                                    field_text(variant, "name"), text_plural(text, sizeof(text), failed, "task"));
        }
        if (*sanitizer)
                report_note(r, "notice bad",
                            "The daemon was built with a sanitizer (%s): these times say nothing about a normal "
                            "build.",
                            sanitizer);
        if (resumed > 0)
                report_note(
                        r, "notice",
                        "The daemon was killed and followed by another one %s; the round it was in was measured again.",
                        text_plural(text, sizeof(text), resumed, "time"));
}

/* ── the verdict ── */

static double
interval_width(const json_t *variant)
{
        const json_t *interval = json_object_get(variant, "speed_up_interval");

        return field_real(interval, "high") - field_real(interval, "low");
}

static void
put_sentence(const struct report *r, const json_t *variant)
{
        const char *verdict = field_text(variant, "verdict"), *reference = field_text(r->compare, "reference");
        double speed_up = field_real(variant, "speed_up");
        char text[64];

        if (strcmp(verdict, "reference") == 0)
                report_note(r, "", "The reference: the others are compared with it.");
        else if (strcmp(verdict, "faster") == 0)
                report_note(r, "", "Faster: %s times the speed of %s.", report_ratio(text, sizeof(text), speed_up, 0),
                            reference);
        else if (strcmp(verdict, "slower") == 0)
                report_note(r, "", "Slower: it takes %s times as long as %s.",
                            report_ratio(text, sizeof(text), speed_up > 0 ? 1 / speed_up : 0, 0), reference);
        else if (strcmp(verdict, "unclear") == 0)
                report_note(r, "", "No difference to %s can be told: the interval contains 1.", reference);
        else if (field_int(r->compare, "rounds") < ROUNDS_LEAST)
                report_note(r, "", "No verdict: that needs at least %d rounds.", ROUNDS_LEAST);
        else if (!field_is_set(variant, "speed_up"))
                report_note(r, "", "No verdict: there was a round without a task, so that nothing can be compared.");
        else
                report_note(r, "", "No verdict.");
}

static void
put_interval(const struct report *r, const json_t *variant)
{
        const json_t *interval = json_object_get(variant, "speed_up_interval");
        double width = interval_width(variant);
        char low[64], high[64];

        if (!field_is_set(variant, "speed_up_interval") || strcmp(field_text(variant, "verdict"), "reference") == 0)
                return;
        report_note(r, "soft", "95 %% interval %s … %s",
                    report_ratio(low, sizeof(low), field_real(interval, "low"), width),
                    report_ratio(high, sizeof(high), field_real(interval, "high"), width));
}

static void
put_card(const struct report *r, const json_t *variant)
{
        double time = compare_variant_times(r->compare, variant).median;
        char median[64], ratio[64];
        const char *why = field_text(variant, "why");

        fputs("<li><h3>", r->f);
        markup_put(r->f, field_text(variant, "name"));
        fputs("</h3>\n<p class=\"big\">", r->f);
        if (field_is_set(variant, "speed_up"))
                markup_printf(r->f, "%s×", report_ratio(ratio, sizeof(ratio), field_real(variant, "speed_up"), 0));
        else
                fputs("–", r->f);
        fputs("</p>\n", r->f);
        put_interval(r, variant);
        put_sentence(r, variant);
        if (*why)
                report_note(r, "why", "Why: %s%s", why, strchr(".!?", why[strlen(why) - 1]) ? "" : ".");
        if (time > 0)
                report_note(r, "soft", "median %s%s · %.2f cores busy", report_seconds(median, sizeof(median), time),
                            r->is_per_task ? " per task" : "", field_real(variant, "cores_busy"));
        fputs("</li>\n", r->f);
}

/* "11 rounds, interleaved, in an order that seed 7341 shuffled · 1 warm-up round discarded" */
static void
put_subtitle(const struct report *r)
{
        int64_t warmup = field_int(r->compare, "warmup_rounds");
        const json_t *environment = json_object_get(r->compare, "environment");
        char rounds[64], discarded[64];

        report_note(r, "lead", "%s, interleaved, in an order that seed %" PRId64 " shuffled · %s discarded · %s",
                    text_plural(rounds, sizeof(rounds), field_int(r->compare, "rounds"), "round"),
                    field_int(r->compare, "seed"), text_plural(discarded, sizeof(discarded), warmup, "warm-up round"),
                    field_text(environment, "cpu"));
}

void
report_put_verdict(const struct report *r)
{
        json_t *variant;
        size_t i;

        put_subtitle(r);
        fputs("</header>\n", r->f);
        put_state(r);
        put_trust(r);
        put_damage(r);
        fputs("<section id=\"verdict\" aria-label=\"Verdict\">\n<ul class=\"cards\">\n", r->f);
        json_array_foreach(r->variants, i, variant) put_card(r, variant);
        fputs("</ul>\n", r->f);
        if (json_array_size(r->variants) == 0)
                report_note(r, "", "There is no variant.");
        report_end(r);
}
