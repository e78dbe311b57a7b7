/* SPDX-License-Identifier: Apache-2.0 */
/* cli_law.c - law.json, written. */
#include "cli/cli_law.h"

#include "plat/file.h"

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
