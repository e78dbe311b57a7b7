/* SPDX-License-Identifier: Apache-2.0 */
/* recipe_yaml.c - libcyaml's log as one sentence. */
#include "train/recipe_yaml.h"

#include "train/recipe.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
const cyaml_schema_field_t enx_recipe_tokenizer_fields[] = {
    CYAML_FIELD_UINT("vocab", CYAML_FLAG_DEFAULT, enx_recipe_tokenizer, vocab),
    CYAML_FIELD_STRING_PTR("pre", CYAML_FLAG_POINTER, enx_recipe_tokenizer, pre, 1, 32),
    CYAML_FIELD_FLOAT("feed_mb", CYAML_FLAG_DEFAULT, enx_recipe_tokenizer, feed_mb),
    CYAML_FIELD_END
};
/* clang-format on */

/* libcyaml says what is wrong and where in several lines; keep them in order. */
static void collect_log(cyaml_log_t level, void *user, const char *format, va_list arguments)
{
    (void)level;
    enx_report  *report = user;
    const size_t used = strlen(report->text);
    vsnprintf(report->text + used, sizeof report->text - used, format, arguments);
    for (char *p = report->text + used; *p; p++)
        if (*p == '\n') *p = ' ';
}

static cyaml_config_t loader_config(enx_report *log)
{
    return (cyaml_config_t){
        .log_fn = collect_log, .log_ctx = log, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR
    };
}

enx_status enx_recipe_yaml_open(void **out, const enx_recipe_yaml *kind, const char *path,
                                enx_report *report)
{
    enx_report        log = { 0 };
    cyaml_config_t    config = loader_config(&log);
    void             *data = NULL;
    const cyaml_err_t error = cyaml_load_file(path, &config, kind->schema, &data, NULL);
    if (error == CYAML_ERR_FILE_OPEN)
        return ENX_FAIL(report, NOTFOUND, "%s: cannot be opened; name a %s", path, kind->what);
    if (error != CYAML_OK)
        return ENX_FAIL(report, FORMAT, "%s: %s (%s)", path, cyaml_strerror(error), log.text);
    const enx_status status = kind->check(data, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        enx_recipe_yaml_close(kind, data);
        return status;
    }
    *out = data;
    return ENX_OK;
}

void enx_recipe_yaml_close(const enx_recipe_yaml *kind, void *data)
{
    enx_report     log = { 0 };
    cyaml_config_t config = loader_config(&log);
    if (data) cyaml_free(&config, kind->schema, data, 0);
}
