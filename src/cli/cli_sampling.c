/* SPDX-License-Identifier: Apache-2.0 */
/* cli_sampling.c - options of the chain of samplers. */
#include "cli/cli_sampling.h"

#include "backend/api.h"
#include "base/check.h"
#include "base/mem.h"
#include "text/schema.h"
#include "text/stopper.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BIAS_MAX = 1000000, PENALTY_MAX = 100, TEMPERATURE_MAX = 1000 };

void cli_sampling_init(cli_sampling *s, double temperature)
{
    *s = (cli_sampling){ .temperature = temperature,
                         .typical_p = 1,
                         .top_p = 1,
                         .repeat_penalty = 1,
                         .repeat_last = 64,
                         .dry_base = 1.75,
                         .dry_allowed = 2,
                         .seed = 1 };
}

void cli_sampling_deinit(cli_sampling *s)
{
    enx_mem_free(s->breaker_ids);
    s->breaker_ids = NULL;
    enx_grammar_close(&s->rules);
}

size_t cli_sampling_options(cli_sampling *s, cli_option *out)
{
    const cli_option options[] = {
        { "temp", '\0', CLI_REAL, &s->temperature, "T",
          s->temperature > 0 ? "0: always the likeliest token (0.7)"
                             : "0: always the likeliest token (0)" },
        { "top-k", '\0', CLI_UINT, &s->top_k, "K", "only the K likeliest" },
        { "top-p", '\0', CLI_REAL, &s->top_p, "P", "only the likeliest with P in all" },
        { "min-p", '\0', CLI_REAL, &s->min_p, "P", "only those with P of the likeliest's chance" },
        { "typical-p", '\0', CLI_REAL, &s->typical_p, "P",
          "only those of nearly mean surprise, P in all" },
        { "repeat-penalty", '\0', CLI_REAL, &s->repeat_penalty, "X",
          "divide the logits of recent tokens (1: off)" },
        { "frequency-penalty", '\0', CLI_REAL, &s->frequency_penalty, "X",
          "... take X off for each time (0: off)" },
        { "presence-penalty", '\0', CLI_REAL, &s->presence_penalty, "X",
          "... take X off once (0: off)" },
        { "repeat-last", '\0', CLI_UINT, &s->repeat_last, "N",
          "recent: the last N of prompt and text (64)" },
        { "dry-multiplier", '\0', CLI_REAL, &s->dry_multiplier, "X",
          "DRY: take X off what goes on with a repetition (0: off)" },
        { "dry-base", '\0', CLI_REAL, &s->dry_base, "B",
          "... times B for each further token of it (1.75)" },
        { "dry-allowed", '\0', CLI_UINT, &s->dry_allowed, "N",
          "... from N repeated tokens on (2)" },
        { "dry-last", '\0', CLI_UINT, &s->dry_last, "N",
          "... looking at the last N tokens (0: all)" },
        { "dry-breaker", '\0', CLI_LIST, &s->breakers, "TEXT",
          "... never across this; may be given often (line break : \" *)" },
        { "logit-bias", '\0', CLI_LIST, &s->biases, "ID=VALUE",
          "add to a token's logit, -inf: never; may be repeated" },
        { "stop", '\0', CLI_LIST, &s->stops, "TEXT", "end before this text; may be repeated" },
        { "seed", '\0', CLI_UINT, &s->seed, "S", "of chance (1)" },
        { "grammar", '\0', CLI_TEXT, &s->grammar, "FILE",
          "a GBNF grammar that the text must match" },
        { "json-schema", '\0', CLI_TEXT, &s->schema, "FILE",
          "... or a JSON Schema: the text is JSON that is valid by it" },
    };
    const size_t count = sizeof options / sizeof *options;
    ENX_CHECK(count <= CLI_SAMPLING_OPTIONS);
    memcpy(out, options, sizeof options);
    return count;
}

static enx_status check_ranges(const cli_sampling *s, enx_report *report)
{
    const struct {
        const char *name;
        double      value, min, max;
    } ranges[] = {
        { "temp", s->temperature, 0, TEMPERATURE_MAX },
        { "typical-p", s->typical_p, 0, 1 },
        { "top-p", s->top_p, 0, 1 },
        { "min-p", s->min_p, 0, 1 },
        { "repeat-penalty", s->repeat_penalty, 0.01, PENALTY_MAX },
        { "frequency-penalty", s->frequency_penalty, -PENALTY_MAX, PENALTY_MAX },
        { "presence-penalty", s->presence_penalty, -PENALTY_MAX, PENALTY_MAX },
        { "dry-multiplier", s->dry_multiplier, 0, PENALTY_MAX },
        { "dry-base", s->dry_base, 1, PENALTY_MAX },
        { "dry-allowed", (double)s->dry_allowed, 1, ENX_ENGINE_CONTEXT_MAX },
        { "dry-last", (double)s->dry_last, 0, ENX_ENGINE_CONTEXT_MAX },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max)
            return ENX_FAIL(report, INVALID, "--%s %g: from %g to %g is possible", ranges[i].name,
                            ranges[i].value, ranges[i].min, ranges[i].max);
    return ENX_OK;
}

static enx_status check_stops(const cli_list *stops, enx_report *report)
{
    enx_stopper      stopper;
    const enx_status status = enx_stopper_init(&stopper, stops->items, stops->count, report);
    if (status != ENX_OK) enx_report_wrap(report, "--stop");
    return status;
}

enx_status cli_sampling_check(cli_sampling *s, enx_report *report)
{
    if (s->grammar && s->schema)
        return ENX_FAIL(report, INVALID, "give --grammar or --json-schema, not both");
    ENX_TRY(check_ranges(s, report));
    ENX_TRY(check_stops(&s->stops, report));
    for (size_t i = 0; i < s->biases.count; i++) {
        const char *text = s->biases.items[i];
        char       *equal = NULL, *end = NULL;
        errno = 0;
        const unsigned long long token = strtoull(text, &equal, 10);
        const bool has_id = text[0] >= '0' && text[0] <= '9' && *equal == '=' && errno == 0 &&
                            token < ENX_TOKEN_NONE;
        const double value = has_id ? strtod(equal + 1, &end) : 0;
        if (!has_id || end == equal + 1 || *end || !(fabs(value) <= BIAS_MAX || value == -INFINITY))
            return ENX_FAIL(report, INVALID,
                            "--logit-bias %s: ID=VALUE is needed, the number of a token and what "
                            "to add, from -%d to %d, or -inf for never",
                            text, BIAS_MAX, BIAS_MAX);
        s->bias_items[i] = (enx_bias){ .token = (uint32_t)token, .value = (float)value };
    }
    return ENX_OK;
}

enx_status cli_sampling_check_api(const cli_sampling *s, enx_report *report)
{
    cli_sampling usual;
    cli_sampling_init(&usual, s->temperature);
    const struct {
        const char *name;
        bool        is_set;
    } others[] = {
        { "top-k", s->top_k != usual.top_k },
        { "min-p", s->min_p != usual.min_p },
        { "typical-p", s->typical_p != usual.typical_p },
        { "repeat-penalty", s->repeat_penalty != usual.repeat_penalty },
        { "frequency-penalty", s->frequency_penalty != usual.frequency_penalty },
        { "presence-penalty", s->presence_penalty != usual.presence_penalty },
        { "dry-multiplier", s->dry_multiplier != usual.dry_multiplier },
        { "logit-bias", s->biases.count > 0 },
        { "grammar", s->grammar != NULL },
        { "json-schema", s->schema != NULL },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].is_set)
            return ENX_FAIL(report, INVALID,
                            "--%s is for models that are files; one behind an API takes --temp, "
                            "--top-p, --seed and --stop",
                            others[i].name);
    if (s->stops.count > ENX_API_STOPS_MAX)
        return ENX_FAIL(report, INVALID, "--stop: at most %d for a model behind an API",
                        ENX_API_STOPS_MAX);
    return ENX_OK;
}

static bool has_text(enx_gguf_str token, const char *text)
{
    return memmem(token.data, token.size_bytes, text, strlen(text)) != NULL;
}

/* The tokens that have one of the texts in them. */
static enx_status list_breakers(cli_sampling *s, const enx_tokenizer *tokenizer, enx_report *report)
{
    static const char *const usual[] = { "\n", ":", "\"", "*" };
    const cli_list          *given = &s->breakers;
    const char *const       *texts = given->count ? given->items : usual;
    const size_t   text_count = given->count ? given->count : sizeof usual / sizeof *usual;
    const uint32_t count = enx_tokenizer_count(tokenizer);
    s->breaker_ids = ENX_MEM_NEW(uint32_t, count);
    if (!s->breaker_ids) return ENX_FAIL(report, NOMEM, "no memory for --dry-breaker");
    for (uint32_t id = 0; id < count; id++) {
        bool is_breaker = enx_tokenizer_is_control(tokenizer, id);
        for (size_t i = 0; i < text_count && !is_breaker; i++)
            is_breaker = has_text(enx_tokenizer_bytes(tokenizer, id), texts[i]);
        if (is_breaker) s->breaker_ids[s->breaker_count++] = id;
    }
    return ENX_OK;
}

/* The engine takes a share of 0 for "off"; who writes 0 wants the first one only. */
static float share_of(double p) { return p > 0 ? (float)p : FLT_MIN; }

enx_status cli_sampling_get(cli_sampling *s, const enx_tokenizer *tokenizer, enx_sampling *out,
                            enx_report *report)
{
    const uint64_t last = s->repeat_last;
    if (s->dry_multiplier > 0 && !s->breaker_ids) ENX_TRY(list_breakers(s, tokenizer, report));
    *out = (enx_sampling){ .temperature = (float)s->temperature,
                           .top_k = s->top_k < UINT32_MAX ? (uint32_t)s->top_k : 0,
                           .typical_p = share_of(s->typical_p),
                           .top_p = share_of(s->top_p),
                           .min_p = (float)s->min_p,
                           .repeat_penalty = (float)s->repeat_penalty,
                           .frequency_penalty = (float)s->frequency_penalty,
                           .presence_penalty = (float)s->presence_penalty,
                           .repeat_last = last < UINT32_MAX ? (uint32_t)last : UINT32_MAX,
                           .biases = s->bias_items,
                           .bias_count = (uint32_t)s->biases.count,
                           .dry_multiplier = (float)s->dry_multiplier,
                           .dry_base = (float)s->dry_base,
                           .dry_allowed = (uint32_t)s->dry_allowed,
                           .dry_last = (uint32_t)s->dry_last,
                           .dry_breakers = s->breaker_ids,
                           .dry_breaker_count = s->breaker_count,
                           .seed = s->seed };
    return ENX_OK;
}

static enx_status parse_rules(cli_sampling *s, const char *path, const enx_buf *text,
                              enx_report *report)
{
    const enx_status status = (s->schema ? enx_schema_open : enx_grammar_open)(
        &s->rules, enx_buf_text(text), text->size_bytes, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    return status;
}

enx_status cli_sampling_read_rules(cli_sampling *s, enx_report *report)
{
    enx_buf     text;
    const char *path = s->grammar ? s->grammar : s->schema;
    if (!path || s->rules) return ENX_OK;
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) status = parse_rules(s, path, &text, report);
    enx_buf_deinit(&text);
    return status;
}

enx_status cli_sampling_open_mask(const cli_sampling *s, const enx_loaded *loaded, enx_mask **out,
                                  enx_report *report)
{
    *out = NULL;
    if (!s->rules) return ENX_OK;
    return enx_mask_open(out, enx_grammar_automaton(s->rules), loaded->trie, loaded->tokenizer,
                         report);
}
