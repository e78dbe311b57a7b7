/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.c - what libcyaml says, made useful. */
#include "backend/yaml.h"

#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES_MAX = 2000, WORD_BYTES_MAX = 100 };

static void collect_log(cyaml_log_t level, void *user, const char *format, va_list arguments)
{
    (void)level;
    char        *log = user;
    const size_t used = strlen(log);
    vsnprintf(log + used, LOG_BYTES_MAX - used, format, arguments);
}

static cyaml_config_t loader_config(char *log)
{
    return (cyaml_config_t){
        .log_fn = collect_log, .log_ctx = log, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR
    };
}

static bool is_word_byte(char byte) { return isalnum((unsigned char)byte) || byte == '_'; }

/* libcyaml names the place before the key: the first line from there on that has `key:`. */
static int line_of_key(const char *text, const char *key, int first_line)
{
    const size_t key_size = strlen(key);
    int          line = 1;
    for (const char *at = text; *at; at++) {
        if (*at == '\n') line++;
        if (line < first_line || strncmp(at, key, key_size) != 0) continue;
        const char *end = at + key_size;
        while (*end == '"' || *end == '\'' || *end == ' ') end++;
        if (*end == ':' && (at == text || !is_word_byte(at[-1]))) return line;
    }
    return first_line;
}

/* The words between two quotes after `before`, or "". */
static void quoted_after(const char *log, const char *before, char out[WORD_BYTES_MAX])
{
    const char *at = strstr(log, before);
    const char *end = at ? strchr(at + strlen(before), '\'') : NULL;
    out[0] = '\0';
    if (end)
        snprintf(out, WORD_BYTES_MAX, "%.*s", (int)(end - at - (long)strlen(before)),
                 at + strlen(before));
}

static enx_status fail_yaml(const char *path, const char *text, const char *log, cyaml_err_t error,
                            const char *const *keys, size_t key_count, enx_report *report)
{
    char        first[200] = "", word[WORD_BYTES_MAX] = "";
    const char *place = strstr(log, "(line: ");
    const int   line = place ? (int)strtol(place + 7, NULL, 10) : 1;
    const char *what = strncmp(log, "Load: ", 6) == 0 ? log + 6 : log;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(what, "\n"), what);
    if (sscanf(first, "Unexpected key: %99s", word) == 1) {
        const char *near = enx_nearest(word, keys, key_count);
        return ENX_FAIL(report, FORMAT, "%s:%d: unknown key \"%s\"%s%s%s", path,
                        line_of_key(text, word, line), word, near ? "; did you mean \"" : "",
                        near ? near : "", near ? "\"?" : "; see enxame(1) for those there are");
    }
    quoted_after(log, "in mapping field '", word);
    return ENX_FAIL(report, FORMAT, "%s:%d: %s%s%s%s", path, line,
                    first[0] ? first : cyaml_strerror(error), word[0] ? " (at \"" : "", word,
                    word[0] ? "\")" : "");
}

enx_status enx_yaml_load(void **out, const cyaml_schema_value_t *schema, const enx_buf *text,
                         const char *path, const char *const *keys, size_t key_count,
                         enx_report *report)
{
    char                 log[LOG_BYTES_MAX] = "";
    const cyaml_config_t config = loader_config(log);
    const uint8_t *const bytes = (const uint8_t *)enx_buf_text(text);
    cyaml_data_t        *data = NULL;
    const cyaml_err_t    error =
        cyaml_load_data(bytes, text->size_bytes, &config, schema, &data, NULL);
    if (error != CYAML_OK)
        return fail_yaml(path, enx_buf_text(text), log, error, keys, key_count, report);
    if (!data) return ENX_FAIL(report, FORMAT, "%s: is empty", path);
    *out = data;
    return ENX_OK;
}

void enx_yaml_free(const cyaml_schema_value_t *schema, void *data)
{
    char                 log[LOG_BYTES_MAX] = "";
    const cyaml_config_t config = loader_config(log);
    if (data) cyaml_free(&config, schema, data, 0);
}
