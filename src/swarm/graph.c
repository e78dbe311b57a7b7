/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - plans for goals: parsed, put in order, judged; and inputs in parts. */
#include "swarm/graph.h"

#include "base/check.h"
#include "base/mem.h"

#include <jansson.h>
#include <string.h>

enum { SCHEMA_BYTES_MAX = 8192, CHARACTER_BYTES_MAX = 4 };

struct enx_graph {
    json_t        *json; /* owns most texts */
    enx_graph_mode mode;
    enx_stage      stages[ENX_GRAPH_STAGES_MAX];
    enx_check      checks[ENX_GRAPH_STAGES_MAX][ENX_CLASS_CHECKS_MAX];
    char          *schemas[ENX_GRAPH_STAGES_MAX]; /* owned */
    uint32_t       count;
    bool           has_assembly;
    enx_stage      assembly;
};

static const char *const modes[] = { "swarm", "single", "deliver", "ask_user", NULL };
static const char *const eaches[] = {
    "once", "file", "chunk", "paragraph", "line", "answer", NULL
};
static const char *const assemblies[] = { "join", "reduce", "lead", NULL };
static const char *const on_fails[] = { "escalate", "skip", NULL };
static const char *const types[] = { "text", "number", "integer", "boolean", "texts", NULL };
static const char *const type_schemas[] = {
    "{\"type\":\"string\"}", "{\"type\":\"number\"}", "{\"type\":\"integer\"}",
    "{\"type\":\"boolean\"}", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"
};

#define TEXT_SCHEMA "{\"type\":\"string\"}"
#define OBJECT(properties, required)                                               \
    "{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required \
    "],\"additionalProperties\":false}"
#define LIST(items) "{\"type\":\"array\",\"items\":" items "}"

static const char schema[] = OBJECT(
    "\"mode\":{\"enum\":[\"swarm\",\"single\",\"deliver\",\"ask_user\"]},"
    "\"why\":" TEXT_SCHEMA ",\"advice\":" TEXT_SCHEMA ",\"stages\":" LIST(OBJECT(
        "\"id\":" TEXT_SCHEMA ",\"for_each\":{\"enum\":[\"once\",\"file\",\"chunk\","
        "\"paragraph\",\"line\",\"answer\"]},"
        "\"needs\":" LIST(TEXT_SCHEMA) ",\"instruction\":" TEXT_SCHEMA ",\"output\":" LIST(
            OBJECT("\"name\":" TEXT_SCHEMA ",\"type\":{\"enum\":[\"text\",\"number\",\"integer\","
                   "\"boolean\",\"texts\"]}",
                   "\"name\",\"type\"")) ",\"checks\":" LIST(OBJECT("\"kind\":"
                                                                    "{\"enum\""
                                                                    ":["
                                                                    "\"citatio"
                                                                    "n\","
                                                                    "\"regex\""
                                                                    ",\"comput"
                                                                    "e\"]},"
                                                                    "\"field\""
                                                                    ":" TEXT_SCHEMA ",\"text\""
                                                                    ":" TEXT_SCHEMA,
                                                                    "\"kind\","
                                                                    "\"field\""
                                                                    ",\"text"
                                                                    "\"")) ","
                                                                           "\""
                                                                           "on"
                                                                           "_f"
                                                                           "ai"
                                                                           "l"
                                                                           "\""
                                                                           ":{"
                                                                           "\""
                                                                           "en"
                                                                           "um"
                                                                           "\""
                                                                           ":["
                                                                           "\""
                                                                           "es"
                                                                           "ca"
                                                                           "la"
                                                                           "te"
                                                                           "\""
                                                                           ","
                                                                           "\""
                                                                           "sk"
                                                                           "ip"
                                                                           "\""
                                                                           "]"
                                                                           "}",
        "\"id\",\"for_each\",\"needs\",\"instruction\",\"output\",\"checks\",\"on_"
        "fail\"")) ","
                   "\"assembly\":" OBJECT("\"kind\":{\"enum\":[\"join\",\"reduce\",\"lead\"]},"
                                          "\"instruction\":" TEXT_SCHEMA,
                                          "\"kind\",\"instruction\"") ",\"done_when\":" TEXT_SCHEMA,
    "\"mode\",\"why\",\"advice\",\"stages\",\"assembly\",\"done_when\"");

const char *enx_graph_schema(void) { return schema; }

/* ---- values --------------------------------------------------------------------------------- */

/* The text of a key that must be there, if only as "". */
static enx_status get_text(const json_t *object, const char *key, const char **out,
                           enx_report *report)
{
    const json_t *value = json_object_get(object, key);
    *out = json_string_value(value);
    if (*out && strlen(*out) == json_string_length(value)) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "plan: \"%s\" must be a text", key);
}

static enx_status get_choice(const json_t *object, const char *key, const char *const *words,
                             int *out, enx_report *report)
{
    const char *text;
    ENX_TRY(get_text(object, key, &text, report));
    for (*out = 0; words[*out]; (*out)++)
        if (strcmp(words[*out], text) == 0) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "plan: \"%s\" is \"%.64s\"; as \"%s\", for one", key, text,
                    words[0]);
}

static enx_status get_list(const json_t *object, const char *key, size_t max, const json_t **out,
                           enx_report *report)
{
    *out = json_object_get(object, key);
    if (!json_is_array(*out)) return ENX_FAIL(report, FORMAT, "plan: \"%s\" must be a list", key);
    if (json_array_size(*out) <= max) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "plan: \"%s\" has %zu elements, at most %zu", key,
                    json_array_size(*out), max);
}

static const char *text_or_null(const char *text) { return *text ? text : NULL; }

/* ---- stages --------------------------------------------------------------------------------- */

static enx_status append_member(enx_buf *out, const json_t *field, const char *comma,
                                enx_report *report)
{
    const char *name;
    int         type;
    ENX_TRY(get_text(field, "name", &name, report));
    ENX_TRY(get_choice(field, "type", types, &type, report));
    if (!*name || strpbrk(name, "\"\\."))
        return ENX_FAIL(report, FORMAT, "plan: \"%.64s\" cannot be the name of a member", name);
    if (enx_buf_printf(out, "%s\"%s\":%s", comma, name, type_schemas[type]) == ENX_OK)
        return ENX_OK;
    return ENX_FAIL(report, LIMIT, "plan: an output of more than %d bytes", SCHEMA_BYTES_MAX);
}

/* A JSON Schema of the members of an answer; none: text. */
static enx_status make_schema(char **out, const json_t *stage, enx_report *report)
{
    const json_t *fields;
    enx_buf       text;
    ENX_TRY(get_list(stage, "output", ENX_GRAPH_FIELDS_MAX, &fields, report));
    if (json_array_size(fields) == 0) return ENX_OK;
    enx_buf_init(&text, SCHEMA_BYTES_MAX);
    enx_status status = enx_buf_append_text(&text, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; status == ENX_OK && i < json_array_size(fields); i++)
        status = append_member(&text, json_array_get(fields, i), i ? "," : "", report);
    if (status == ENX_OK) status = enx_buf_append_text(&text, "},\"required\":[");
    for (size_t i = 0; status == ENX_OK && i < json_array_size(fields); i++)
        status =
            enx_buf_printf(&text, "%s\"%s\"", i ? "," : "",
                           json_string_value(json_object_get(json_array_get(fields, i), "name")));
    if (status == ENX_OK) status = enx_buf_append_text(&text, "],\"additionalProperties\":false}");
    if (status == ENX_OK) *out = enx_buf_take(&text);
    enx_buf_deinit(&text);
    return status;
}

static bool has_member(const json_t *stage, const char *name)
{
    size_t        index;
    json_t       *at;
    const json_t *fields = json_object_get(stage, "output");
    json_array_foreach (fields, index, at) {
        if (strcmp(json_string_value(json_object_get(at, "name")), name) == 0) return true;
    }
    return false;
}

/* The schema is checked first, where there is one. */
static enx_status read_checks(enx_graph *g, uint32_t index, const json_t *stage, enx_report *report)
{
    const json_t *list;
    enx_class    *c = &g->stages[index].task_class;
    enx_check    *checks = g->checks[index];
    ENX_TRY(get_list(stage, "checks", ENX_CLASS_CHECKS_MAX - 1, &list, report));
    if (c->schema) checks[c->check_count++] = (enx_check){ .kind = ENX_CHECK_SCHEMA };
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *at = json_array_get(list, i);
        const char   *kind, *field, *text;
        ENX_TRY(get_text(at, "kind", &kind, report));
        ENX_TRY(get_text(at, "field", &field, report));
        ENX_TRY(get_text(at, "text", &text, report));
        const enx_check_kind found = enx_check_kind_find(kind);
        if (found != ENX_CHECK_CITATION && found != ENX_CHECK_REGEX && found != ENX_CHECK_COMPUTE)
            return ENX_FAIL(
                report, FORMAT,
                "plan: no check of a plan is called \"%.64s\"; citation, regex, compute", kind);
        if (*field && !has_member(stage, field))
            return ENX_FAIL(report, NOTFOUND,
                            "plan: stage %s: a check names %.64s, which is no "
                            "member of its output",
                            c->name, field);
        checks[c->check_count++] =
            (enx_check){ .kind = found, .field = text_or_null(field), .text = text_or_null(text) };
    }
    c->checks = checks;
    return ENX_OK;
}

static enx_status read_stage(enx_graph *g, const json_t *json, const char *advice,
                             enx_report *report)
{
    const uint32_t index = g->count++;
    enx_stage     *stage = &g->stages[index];
    const char    *instruction;
    int            each, on_fail;
    ENX_TRY(get_text(json, "id", &stage->task_class.name, report));
    ENX_TRY(get_text(json, "instruction", &instruction, report));
    ENX_TRY(get_choice(json, "for_each", eaches, &each, report));
    ENX_TRY(get_choice(json, "on_fail", on_fails, &on_fail, report));
    if (!*instruction)
        return ENX_FAIL(report, INVALID, "plan: stage %.64s has no instruction",
                        stage->task_class.name);
    ENX_TRY(make_schema(&g->schemas[index], json, report));
    stage->each = (enx_each)each;
    stage->is_last = true;
    stage->task_class.instruction = instruction;
    stage->task_class.advice = text_or_null(advice);
    stage->task_class.schema = g->schemas[index];
    stage->task_class.on_fail = (enx_on_fail)on_fail;
    ENX_TRY(read_checks(g, index, json, report));
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(g->stages[i].task_class.name, stage->task_class.name) == 0)
            return ENX_FAIL(report, INVALID, "plan: two stages are called %.64s",
                            stage->task_class.name);
    return enx_class_validate(&stage->task_class, report);
}

/* ---- needs ---------------------------------------------------------------------------------- */

static enx_status read_needs(enx_graph *g, uint32_t index, const json_t *json, enx_report *report)
{
    const json_t *list;
    enx_stage    *stage = &g->stages[index];
    ENX_TRY(get_list(json, "needs", ENX_GRAPH_NEEDS_MAX, &list, report));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        uint32_t    need = 0;
        while (name && need < g->count && strcmp(g->stages[need].task_class.name, name) != 0)
            need++;
        if (!name || need == g->count)
            return ENX_FAIL(report, NOTFOUND,
                            "plan: stage %s needs %.64s, and there is no such "
                            "stage",
                            stage->task_class.name, name ? name : "what is no text");
        stage->needs[stage->need_count++] = need;
        g->stages[need].is_last = false;
    }
    const bool is_of_inputs = stage->each != ENX_EACH_ANSWER && stage->each != ENX_EACH_ONCE;
    if (stage->each == ENX_EACH_ANSWER ? stage->need_count != 1
                                       : is_of_inputs && stage->need_count > 0)
        return ENX_FAIL(report, INVALID,
                        "plan: stage %s is for each %s and needs %u stages; an answer needs one, "
                        "parts of the inputs none",
                        stage->task_class.name, eaches[stage->each], stage->need_count);
    return ENX_OK;
}

static bool is_ready(const enx_stage *stage, const uint32_t *place)
{
    for (uint32_t i = 0; i < stage->need_count; i++)
        if (place[stage->needs[i]] == UINT32_MAX) return false;
    return true;
}

/* Put each stage after all that it needs; what cannot be placed is a cycle.  Pointers of classes
 * into this graph move with their stage. */
static enx_status put_in_order(enx_graph *g, enx_report *report)
{
    enx_stage ordered[ENX_GRAPH_STAGES_MAX];
    uint32_t  place[ENX_GRAPH_STAGES_MAX], placed = 0;
    memset(place, 0xFF, sizeof place);
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < g->count; i++) {
            if (place[i] != UINT32_MAX || !is_ready(&g->stages[i], place)) continue;
            ordered[placed] = g->stages[i];
            for (uint32_t k = 0; k < ordered[placed].need_count; k++)
                ordered[placed].needs[k] = place[ordered[placed].needs[k]];
            place[i] = placed++;
            moved = true;
        }
    }
    for (uint32_t i = 0; i < g->count; i++)
        if (place[i] == UINT32_MAX)
            return ENX_FAIL(report, INVALID,
                            "plan: stage %s can never begin: what it needs waits for it",
                            g->stages[i].task_class.name);
    memcpy(g->stages, ordered, placed * sizeof *ordered);
    return ENX_OK;
}

/* ---- plans ---------------------------------------------------------------------------------- */

static enx_status read_assembly(enx_graph *g, const char *advice, enx_report *report)
{
    const json_t *json = json_object_get(g->json, "assembly");
    const char   *instruction;
    int           kind;
    ENX_TRY(get_choice(json, "kind", assemblies, &kind, report));
    ENX_TRY(get_text(json, "instruction", &instruction, report));
    g->has_assembly = kind != ENX_ASSEMBLY_JOIN;
    if (g->has_assembly && !*instruction)
        return ENX_FAIL(report, INVALID, "plan: the assembly has no instruction");
    g->assembly = (enx_stage){ .task_class = { .name = "assembly",
                                               .instruction = instruction,
                                               .advice = text_or_null(advice),
                                               .is_leads = kind == ENX_ASSEMBLY_LEAD,
                                               .answer_tokens_max = ENX_GRAPH_TOKENS_MAX },
                               .each = ENX_EACH_ONCE,
                               .is_last = true };
    return ENX_OK;
}

static enx_status read_plan(enx_graph *g, enx_report *report)
{
    const json_t *stages;
    const char   *text;
    int           mode;
    if (!json_is_object(g->json)) return ENX_FAIL(report, FORMAT, "plan: not a JSON object");
    ENX_TRY(get_choice(g->json, "mode", modes, &mode, report));
    g->mode = (enx_graph_mode)mode;
    if (g->mode != ENX_GRAPH_SWARM) return ENX_OK;
    ENX_TRY(get_text(g->json, "advice", &text, report));
    ENX_TRY(get_list(g->json, "stages", ENX_GRAPH_STAGES_MAX, &stages, report));
    if (json_array_size(stages) == 0)
        return ENX_FAIL(report, INVALID, "plan: mode is \"swarm\", and there are no stages");
    for (size_t i = 0; i < json_array_size(stages); i++)
        ENX_TRY(read_stage(g, json_array_get(stages, i), text, report));
    for (uint32_t i = 0; i < g->count; i++)
        ENX_TRY(read_needs(g, i, json_array_get(stages, i), report));
    ENX_TRY(put_in_order(g, report));
    return read_assembly(g, text, report);
}

enx_status enx_graph_open(enx_graph **out, const char *text, size_t size_bytes, enx_report *report)
{
    json_error_t error;
    if (size_bytes > ENX_GRAPH_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "plan: %zu bytes, at most %d", size_bytes,
                        ENX_GRAPH_BYTES_MAX);
    enx_graph *g = ENX_MEM_NEW(enx_graph, 1);
    if (!g) return ENX_FAIL(report, NOMEM, "no memory for a plan");
    g->json = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &error);
    const enx_status status = g->json ? read_plan(g, report)
                                      : ENX_FAIL(report, FORMAT, "plan: not JSON at byte %d: %s",
                                                 error.position, error.text);
    if (status != ENX_OK) {
        enx_graph_close(&g);
        return status;
    }
    *out = g;
    return ENX_OK;
}

void enx_graph_close(enx_graph **graph)
{
    enx_graph *g = *graph;
    *graph = NULL;
    if (!g) return;
    for (uint32_t i = 0; i < ENX_GRAPH_STAGES_MAX; i++) enx_mem_free(g->schemas[i]);
    json_decref(g->json);
    enx_mem_free(g);
}

enx_graph_mode enx_graph_mode_get(const enx_graph *g) { return g->mode; }

const char *enx_graph_why(const enx_graph *g)
{
    const char *why = json_string_value(json_object_get(g->json, "why"));
    return why ? why : "";
}

const enx_stage *enx_graph_stages(const enx_graph *g, uint32_t *count)
{
    *count = g->count;
    return g->stages;
}

const enx_stage *enx_graph_assembly(const enx_graph *g)
{
    return g->has_assembly ? &g->assembly : NULL;
}

/* ---- inputs in parts ------------------------------------------------------------------------ */

static bool is_blank(enx_span span)
{
    for (size_t i = 0; i < span.size_bytes; i++)
        if (span.text[i] != ' ' && (span.text[i] < '\t' || span.text[i] > '\r')) return false;
    return true;
}

/* How many bytes before `at` belong to the character that it cuts; 0 in what is no UTF-8. */
static size_t character_bytes_before(const char *text, size_t at)
{
    size_t back = 0;
    while (back < CHARACTER_BYTES_MAX && back < at && (text[at - back] & 0xC0) == 0x80) back++;
    return back < CHARACTER_BYTES_MAX ? back : 0;
}

/* The length of the part that begins at `at`, and where the next one begins. */
static size_t part_at(enx_each each, enx_span input, size_t at, size_t *next)
{
    const char  *text = input.text + at;
    const size_t left = input.size_bytes - at;
    const char  *stop = each == ENX_EACH_LINE        ? memchr(text, '\n', left)
                        : each == ENX_EACH_PARAGRAPH ? memmem(text, left, "\n\n", 2)
                                                     : NULL;
    if (each != ENX_EACH_CHUNK) {
        *next = stop ? (size_t)(stop - input.text) + 1 : input.size_bytes;
        return stop ? (size_t)(stop - text) : left;
    }
    size_t size = left < ENX_GRAPH_CHUNK_BYTES ? left : ENX_GRAPH_CHUNK_BYTES;
    if (size < left) { /* end it after a word, if one ends in its last quarter */
        size_t cut = size;
        while (cut > size / 4 * 3 && text[cut - 1] != ' ' && text[cut - 1] != '\n') cut--;
        if (cut > size / 4 * 3) size = cut;
        else size -= character_bytes_before(text, size);
    }
    *next = at + size;
    if (*next < input.size_bytes) {
        *next -= ENX_GRAPH_OVERLAP_BYTES;
        *next -= character_bytes_before(input.text, *next);
    }
    return size;
}

uint32_t enx_graph_slice(enx_each each, const enx_span *inputs, uint32_t input_count,
                         enx_span *spans)
{
    uint32_t count = 0;
    if (each == ENX_EACH_ONCE || each == ENX_EACH_ANSWER) {
        spans[0] = input_count == 1 ? inputs[0] : (enx_span){ "", 0 };
        return 1;
    }
    for (uint32_t i = 0; i < input_count; i++) {
        if (each == ENX_EACH_FILE && count <= ENX_GRAPH_TASKS_MAX) spans[count++] = inputs[i];
        for (size_t at = 0, next; each != ENX_EACH_FILE && at < inputs[i].size_bytes; at = next) {
            const size_t   size = part_at(each, inputs[i], at, &next);
            const enx_span part = { inputs[i].text + at, size };
            if (count > ENX_GRAPH_TASKS_MAX) return count;
            if (!is_blank(part)) spans[count++] = part;
        }
    }
    return count;
}
