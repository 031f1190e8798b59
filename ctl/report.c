/* SPDX-License-Identifier: MIT */
/*
 * The frame of the page. Colours are those of Okabe and Ito (2008), which people with any colour vision can tell
 * apart; what they say is said by the height of a bar or by a text, too. A policy in the page forbids whatever is
 * not in it.
 */
#include "ctl/report.h"

#include "ctl/compare-variant.h"
#include "ctl/field.h"
#include "ctl/markup.h"
#include "ctl/report-part.h"

#include <stdbool.h>

static const char style[] =
        ":root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--grid:#e6eaee;"
        "--card:#f6f8fa;--run:#0072b2;--blocked:#009e73;--lock:#e69f00;--idle:#dfe4ea;--mark:#b3261e;"
        "--warn:#fff4d6;--warn-rule:#e69f00;--bad:#fde7e4}\n"
        "@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--ink:#e6edf3;--soft:#a3adb8;--rule:#3a434d;"
        "--grid:#222a33;--card:#161b22;--run:#56b4e9;--blocked:#2bc79a;--lock:#f0b429;--idle:#2a333d;--mark:#ff8b82;"
        "--warn:#332708;--bad:#3b1512}}\n"
        "*{box-sizing:border-box}\n"
        "body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,'DejaVu Sans',"
        "'Liberation Sans',Arial,sans-serif}\n"
        "main{max-width:960px;margin:0 auto;padding:24px 16px 64px}\n"
        "h1{font-size:1.7em;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}\n"
        "h2{font-size:1.25em;margin:0 0 4px}h3{font-size:1em;margin:18px 0 4px;overflow-wrap:anywhere}\n"
        "section{margin-top:40px}.lead,.soft{color:var(--soft)}p{margin:4px 0 12px}\n"
        ".notice{padding:10px 14px;border-left:4px solid var(--warn-rule);background:var(--warn);margin:12px 0}\n"
        ".bad{border-color:var(--mark);background:var(--bad)}\n"
        ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,210px),1fr));gap:12px;"
        "list-style:none;padding:0;margin:16px 0}\n"
        ".cards li{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 14px;"
        "overflow-wrap:anywhere}\n"
        ".cards h3{margin:0}.big{font-size:1.9em;font-weight:650;line-height:1.2}.cards p{margin:4px 0}\n"
        "figure{margin:12px 0 24px}figcaption{color:var(--soft);font-size:.92em;overflow-wrap:anywhere}\n"
        "svg{display:block;width:100%;height:auto}\n"
        "svg text{font-size:13px;fill:var(--ink)}svg .tick,svg .soft{fill:var(--soft)}\n"
        "svg .middle{text-anchor:middle}svg .end{text-anchor:end}svg .name{font-weight:600}\n"
        ".grid{stroke:var(--grid)}.line{stroke:var(--soft)}\n"
        ".k-run{fill:var(--run)}.k-lock{fill:var(--lock)}.k-blocked{fill:var(--blocked)}.k-idle{fill:var(--idle)}\n"
        ".box{fill:var(--run);fill-opacity:.28;stroke:var(--run)}.whisker{stroke:var(--run)}\n"
        ".median{stroke:var(--ink);stroke-width:2.5}.interval{fill:var(--ink);fill-opacity:.22}\n"
        ".dot{fill:var(--ink);fill-opacity:.62}.dots{stroke:var(--ink);stroke-opacity:.5;stroke-width:4;"
        "stroke-linecap:round}\n"
        ".outlier{fill:none;stroke:var(--mark);stroke-width:1.8}\n"
        ".curve{fill:none;stroke-width:2}.ideal{stroke:var(--soft);stroke-dasharray:2 5}\n"
        ".usl{stroke:var(--run)}.amdahl{stroke:var(--lock);stroke-dasharray:9 5}.bar{stroke:var(--ink);"
        "stroke-width:1.6}.point{fill:var(--ink)}\n"
        ".area{fill:var(--run);fill-opacity:.55;stroke:var(--run)}.percentile{stroke:var(--mark);"
        "stroke-dasharray:4 3}\n"
        ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:8px 0;"
        "color:var(--soft);font-size:.92em}.legend svg{display:inline-block;width:26px;height:14px;"
        "vertical-align:-2px;margin-right:6px}\n"
        ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9em;"
        "font-variant-numeric:tabular-nums}\n"
        "caption{text-align:left;color:var(--soft);padding:4px 0}\n"
        "th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}\n"
        "th{font-weight:600}td.num,th.num{text-align:right}td.num{white-space:nowrap}#order "
        ".num{text-align:left}.out{color:var(--mark)}\n"
        "tbody th[colspan]{background:var(--card);padding-left:8px}\n"
        ".group{position:sticky;left:8px;width:fit-content;max-width:min(92vw,900px)}#evidence{font-size:.95em}#"
        "evidence tbody th{white-space:nowrap}#evidence tbody "
        "th[colspan]{white-space:normal}.wide{overflow-wrap:anywhere}\n"
        "details{margin-top:24px;border-top:1px solid var(--rule);padding-top:12px}"
        "summary{cursor:pointer;font-weight:600}\n"
        "pre{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:10px 14px;"
        "white-space:pre-wrap;overflow-wrap:anywhere}\n"
        "footer{margin-top:48px;color:var(--soft);font-size:.9em;overflow-wrap:anywhere}\n"
        "@media (max-width:560px){svg text{font-size:22px}.minor{display:none}main{padding:16px 12px 40px;"
        "overflow-x:clip}svg{overflow:visible}"
        ".legend svg{width:26px}}\n"
        "@media print{:root{--ground:#fff;--ink:#000;--soft:#444;--rule:#bbb;--grid:#ddd;--card:#fff;--run:#0072b2;"
        "--blocked:#009e73;--lock:#e69f00;--idle:#e2e2e2;--mark:#b3261e;--warn:#fff;--bad:#fff}"
        "main{max-width:none}section{margin-top:24px}figure,li,tr{break-inside:avoid}h2,h3{break-after:avoid}"
        "*{print-color-adjust:exact}.scroll{overflow:visible}}\n";

/* "calc × 1000 · 2 workers", as far as it is the same in all variants. */
static void
put_title(const struct report *r)
{
        const json_t *first = json_array_get(r->variants, 0);
        AUTO_FREE char *work = report_work(first);
        bool is_one = report_is_common(r->variants, "workload") && report_is_common(r->variants, "params") &&
                      report_is_common(r->variants, "count") && report_is_common(r->variants, "duration_s");

        if (first && is_one)
                markup_put(r->f, work ? work : "");
        else
                fprintf(r->f, "%zu variants", json_array_size(r->variants));
        fputs(field_bool(r->compare, "aa") ? " against itself" : " compared", r->f);
}

static void
put_head(const struct report *r)
{
        fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
              "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
              "base-uri 'none'; form-action 'none'\"/>\n"
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
              "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
              "<meta name=\"generator\" content=\"concctl compare\"/>\n<title>",
              r->f);
        put_title(r);
        fputs("</title>\n<style>\n", r->f);
        fputs(style, r->f);
        fputs("</style>\n</head>\n<body>\n<main>\n<header>\n<h1>", r->f);
        put_title(r);
        fputs("</h1>\n", r->f);
}

static void
put_foot(const struct report *r)
{
        char text[64];

        fputs("<footer>", r->f);
        markup_printf(r->f, "concctl compare · concd %s · comparison %s · measured in ",
                      field_text(json_object_get(r->compare, "environment"), "concd"), field_text(r->compare, "id"));
        markup_put(r->f, report_seconds(text, sizeof(text), field_real(r->compare, "wall_s")));
        fputs("</footer>\n</main>\n</body>\n</html>\n", r->f);
}

int
report_write(FILE *f, const json_t *compare)
{
        struct report r = {.f = f, .compare = compare, .variants = json_object_get(compare, "variants")};
        int rounds, timeline;

        r.is_per_task = compare_variant_is_per_task(compare);
        put_head(&r);
        report_put_verdict(&r);
        rounds = report_put_rounds(&r);
        timeline = report_put_timeline(&r);
        report_put_latency(&r);
        report_put_scaling(&r);
        report_put_evidence(&r);
        report_put_environment(&r);
        report_put_order(&r);
        report_put_method(&r);
        report_put_command(&r);
        put_foot(&r);
        return rounds < 0 ? rounds : timeline;
}
