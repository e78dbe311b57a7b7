/* SPDX-License-Identifier: Apache-2.0 */
/* cli_law.c - law.json, written and read. */
#include "cli/cli_law.h"

#include "plat/file.h"

#include <math.h>
#include <string.h>

enum { DIGITS = 12 };

static json_t *or_null(json_t *json) { return json ? json : json_null(); }

static json_t *pack(const cli_law *law, const cli_runs *runs)
{
    return json_pack(
        "{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "format",
        CLI_LAW_FORMAT, "form", law->form, "exponent", cli_json_number(law->exponent),
        "exponent_se", cli_json_number(law->exponent_se), "floor", cli_json_number(law->floor),
        "floor_se", cli_json_number(law->floor_se), "params", or_null(law->params), "se",
        or_null(law->se), "odds", or_null(law->odds), "next", or_null(law->next), "data",
        cli_runs_json_data(runs), "notes", cli_runs_json_notes(runs), "version", ENX_VERSION);
}

static int append_chunk(const char *bytes, size_t size_bytes, void *user)
{
    return enx_buf_append(user, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

enx_status cli_law_write(const char *path, const cli_law *law, const cli_runs *runs,
                         enx_report *report)
{
    json_t *json = pack(law, runs);
    enx_buf out;
    enx_buf_init(&out, CLI_LAW_BYTES_MAX);
    const bool is_whole = json &&
                          json_dump_callback(json, append_chunk, &out,
                                             JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) == 0 &&
                          enx_buf_append_text(&out, "\n") == ENX_OK;
    enx_status status = is_whole ? ENX_OK : ENX_FAIL(report, NOMEM, "%s: no memory for it", path);
    if (status == ENX_OK) status = enx_file_write(path, out.data, out.size_bytes, report);
    enx_buf_deinit(&out);
    json_decref(json);
    return status;
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

typedef struct market_law {
    double exponent;
    double holds;  /* chance that the law holds today; NAN: the file has no odds */
    double hazard; /* chance that it breaks, a rung */
    double factor; /* of compute, a rung */
} market_law;

static enx_status read_law(market_law *out, const char *path, enx_report *report)
{
    enx_buf      text;
    json_error_t error;
    enx_buf_init(&text, CLI_LAW_BYTES_MAX);
    const enx_status status = cli_read(&text, path, report);
    json_t          *json =
        status == ENX_OK ? json_loadb(enx_buf_text(&text), text.size_bytes, 0, &error) : NULL;
    const json_t *odds = json_object_get(json, "odds");
    *out = (market_law){ real_of(json, "exponent"), real_of(odds, "holds"), real_of(odds, "hazard"),
                         real_of(odds, "factor") };
    const bool is_law = real_of(json, "format") == CLI_LAW_FORMAT && out->exponent > 0;
    const bool has_odds = out->holds >= 0 && out->holds <= 1 && out->hazard >= 0 &&
                          out->hazard < 1 && out->factor > 1;
    const bool is_whole = is_law && (has_odds || !json_is_object(odds));
    json_decref(json);
    enx_buf_deinit(&text);
    if (status != ENX_OK || is_whole) return status;
    return ENX_FAIL(report, FORMAT,
                    "%s: not a law of format %d with an exponent above 0; make one by enxame scale "
                    "fit or odds with --law",
                    path, CLI_LAW_FORMAT);
}

enx_status cli_law_apply(cli_scenario *scenario, const char *path, enx_report *report)
{
    const double      odds_min = 1e-6; /* the least that a scenario may have */
    enx_future_input *f = &scenario->future;
    market_law        law;
    ENX_TRY(read_law(&law, path, report));
    scenario->market.gamma *= law.exponent / scenario->claims.exponent;
    scenario->claims.exponent = law.exponent;
    if (isnan(law.holds)) return ENX_OK;
    const double rungs = f->horizon_years * log(f->compute_growth) / log(law.factor);
    f->odds = fmin(fmax(law.holds * pow(1 - law.hazard, rungs), odds_min), 1);
    return ENX_OK;
}
