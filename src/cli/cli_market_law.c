/* SPDX-License-Identifier: Apache-2.0 */
/* cli_market_law.c - see cli_market_law.h. */
#include "cli/cli_market_law.h"

#include "base/check.h"
#include "plat/file.h"

#include <math.h>
#include <string.h>

enum { ODDS_NEEDED = 4, RUNS_FEW = 10, RUNS_MAX = 1000000000 };

static const double odds_slack = 1e-3, doubtful_part = 0.25;

/* How far compute_exponent may be from what alpha and beta give, by rounding. */
static const double exponent_slack = 0.02;

const char *const cli_market_law_outcomes[CLI_MARKET_LAW_ODDS] = {
    "holds", "slowed", "stopped", "reversed", "faster", "bad_run"
};

/* A number that may be missing: *value keeps what it is. */
static enx_status take_number(double *value, const json_t *object, const char *key, double low,
                              double high, const char *unit, enx_report *report)
{
    const json_t *given = json_object_get(object, key);
    if (!given || json_is_null(given)) return ENX_OK;
    const double number = json_number_value(given);
    if (!json_is_number(given))
        return ENX_FAIL(report, FORMAT, "%s: not a number; %s, from %g to %g", key, unit, low,
                        high);
    if (!(number >= low && number <= high))
        return ENX_FAIL(report, FORMAT, "%s: %g is not from %g to %g (%s)", key, number, low, high,
                        unit);
    *value = number;
    return ENX_OK;
}

static enx_status take_odds(cli_market_law *law, const json_t *odds, enx_report *report)
{
    double sum = 0;
    if (!odds || json_is_null(odds)) return ENX_OK;
    if (!json_is_object(odds))
        return ENX_FAIL(report, FORMAT, "odds: not an object of holds, slowed, stopped, reversed");
    for (int i = 0; i < CLI_MARKET_LAW_ODDS; i++) {
        law->odds[i] = i < ODDS_NEEDED ? NAN : 0;
        ENX_TRY(
            take_number(&law->odds[i], odds, cli_market_law_outcomes[i], 0, 1, "a chance", report));
        if (isnan(law->odds[i]))
            return ENX_FAIL(report, FORMAT, "odds: %s is missing, a chance from 0 to 1",
                            cli_market_law_outcomes[i]);
        sum += law->odds[i];
    }
    if (fabs(sum - 1) > odds_slack)
        return ENX_FAIL(report, FORMAT, "odds: they add up to %g, not to 1", sum);
    law->has_odds = true;
    return ENX_OK;
}

/* Loss falls along the best sizes with alpha beta / (alpha + beta): its error from theirs, and a
 * check that compute_exponent means the same. */
static enx_status take_exponents(cli_market_law *law, const json_t *root, enx_report *report)
{
    const json_t *se = json_object_get(root, "se");
    double        alpha = NAN, beta = NAN, alpha_se = 0, beta_se = 0;
    ENX_TRY(take_number(&alpha, root, "alpha", 1e-3, 10, "exponent of parameters", report));
    ENX_TRY(take_number(&beta, root, "beta", 1e-3, 10, "exponent of tokens", report));
    if (se && !json_is_null(se) && !json_is_object(se))
        return ENX_FAIL(report, FORMAT, "se: not an object of standard errors");
    ENX_TRY(take_number(&alpha_se, se, "alpha", 0, 1e3, "standard error", report));
    ENX_TRY(take_number(&beta_se, se, "beta", 0, 1e3, "standard error", report));
    if (!isnan(alpha) && !isnan(beta)) {
        const double sum = alpha + beta, expected = alpha * beta / sum;
        if (fabs(law->exponent / expected - 1) > exponent_slack)
            return ENX_FAIL(report, FORMAT,
                            "compute_exponent: %g is not alpha beta / (alpha + beta), %g: the "
                            "exponent of the reducible loss in compute",
                            law->exponent, expected);
        law->exponent_se = hypot(beta * beta * alpha_se, alpha * alpha * beta_se) / (sum * sum);
    }
    return take_number(&law->exponent_se, se, "compute_exponent", 0, 1e3, "standard error", report);
}

/* Which of the two kinds it is; both are of version 1. */
static enx_status take_kind(bool *is_plain, const json_t *root, enx_report *report)
{
    const json_t *const format = json_object_get(root, "format");
    const char *const   kind = json_string_value(json_object_get(root, "kind"));
    const json_t *const version = format ? format : json_object_get(root, "version");
    *is_plain = format != NULL;
    if (!format && (!kind || strcmp(kind, "enxame.law") != 0))
        return ENX_FAIL(report, FORMAT,
                        "kind: not \"enxame.law\"; write such a file by enxame scale fit --law");
    if (!json_is_integer(version))
        return ENX_FAIL(report, FORMAT, "%s: is missing, or not a whole number",
                        format ? "format" : "version");
    if (json_integer_value(version) != 1)
        return ENX_FAIL(report, UNSUPPORTED, "%s: %lld; this program knows 1",
                        format ? "format" : "version", (long long)json_integer_value(version));
    return ENX_OK;
}

static enx_status take_law(cli_market_law *law, const json_t *root, enx_report *report)
{
    bool   is_plain;
    double runs = 0;
    ENX_TRY(take_kind(&is_plain, root, report));
    const char *const   key = is_plain ? "exponent" : "compute_exponent";
    const json_t *const source = json_object_get(root, is_plain ? "data" : "source");
    law->exponent = NAN;
    ENX_TRY(take_number(&law->exponent, root, key, 1e-3, 1, "of the reducible loss in compute",
                        report));
    if (isnan(law->exponent))
        return ENX_FAIL(report, FORMAT,
                        "%s: is missing; that of the reducible loss in compute, from 0.001 to 1",
                        key);
    if (is_plain)
        ENX_TRY(
            take_number(&law->exponent_se, root, "exponent_se", 0, 1e3, "standard error", report));
    else ENX_TRY(take_exponents(law, root, report));
    ENX_TRY(take_odds(law, json_object_get(root, "odds"), report));
    ENX_TRY(take_number(&runs, source, "runs", 0, RUNS_MAX, "runs", report));
    law->runs = (uint64_t)runs;
    return ENX_OK;
}

enx_status cli_market_law_parse(cli_market_law *out, const char *text, size_t size_bytes,
                                const char *path, enx_report *report)
{
    ENX_CHECK(out && text && path);
    cli_market_law law = { 0 };
    json_error_t   error;
    json_t        *root = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &error);
    enx_status     status;
    if (!root) status = ENX_FAIL(report, FORMAT, "line %d: not JSON", error.line);
    else if (!json_is_object(root)) status = ENX_FAIL(report, FORMAT, "not a JSON object");
    else status = take_law(&law, root, report);
    json_decref(root);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    else *out = law;
    return status;
}

enx_status cli_market_law_read(cli_market_law *out, const char *path, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_MARKET_LAW_BYTES_MAX);
    enx_status status = enx_file_read(&text, path, report);
    if (status == ENX_OK)
        status = cli_market_law_parse(out, enx_buf_text(&text), text.size_bytes, path, report);
    enx_buf_deinit(&text);
    return status;
}

double cli_market_law_goes_on(const cli_market_law *law)
{
    return law->odds[0] + law->odds[4] + law->odds[5];
}

const char *cli_market_law_doubt(const cli_market_law *law)
{
    if (law->has_odds && cli_market_law_goes_on(law) < 0.5)
        return "its own odds are against it: it is less likely to hold than not";
    if (law->exponent_se > doubtful_part * law->exponent)
        return "the error of its exponent is more than a quarter of it";
    if (law->runs > 0 && law->runs < RUNS_FEW) return "it was fitted to fewer than ten runs";
    return NULL;
}

json_t *cli_market_law_json(const cli_market_law *law)
{
    json_t     *odds = law->has_odds ? json_object() : json_null();
    const char *doubt = cli_market_law_doubt(law);
    for (int i = 0; law->has_odds && i < CLI_MARKET_LAW_ODDS; i++)
        json_object_set_new(odds, cli_market_law_outcomes[i], json_real(law->odds[i]));
    return json_pack("{s:f, s:f, s:o, s:I, s:o}", "exponent", law->exponent, "exponent_se",
                     law->exponent_se, "odds", odds, "runs", (json_int_t)law->runs, "doubt",
                     doubt ? json_string(doubt) : json_null());
}

void cli_market_law_print(FILE *out, const cli_market_law *law)
{
    const char *doubt = cli_market_law_doubt(law);
    fprintf(out, "law: exponent %.4g, standard error %.2g", law->exponent, law->exponent_se);
    if (law->runs) fprintf(out, ", of %llu runs", (unsigned long long)law->runs);
    if (law->has_odds)
        for (int i = 0; i < CLI_MARKET_LAW_ODDS; i++)
            fprintf(out, "%s %s %.2g", i ? "," : "; odds:", cli_market_law_outcomes[i],
                    law->odds[i]);
    else fprintf(out, "; no odds: the scenario's are kept");
    fputc('\n', out);
    if (doubt) fprintf(out, "note: %s; what follows from it is as doubtful\n", doubt);
}
