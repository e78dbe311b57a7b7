/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c - prompts, masks and windows of a call. */
#include "backend/ask.h"

#include "base/check.h"
#include "base/mem.h"
#include "swarm/graph.h"
#include "swarm/plan.h"
#include "text/damage.h"
#include "text/reduce.h"
#include "text/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    LANGUAGES_MAX = 256,
    PROMPT_TOKENS_MAX = 1 << 16,
    ANSWER_TOKENS_MORE = 16, /* an answer may have twice the prompt's tokens and so many more */
    TEXT_BYTES_PER_BYTE = 8, /* of an answer, at most */
    GOAL_WORDS_BYTES_MAX = 1 << 14,
};

struct enx_ask {
    const enx_skill *skill;
    enx_call         call; /* texts point into `copies` */
    char            *copies;
    int              level; /* 0..3; 3 when nobody knows */
    int              tag;   /* told to the model; ENX_LEVEL_UNKNOWN: nothing */
    unsigned         kinds; /* ENX_DAMAGE_KIND_*, the only changes that the mask lets through */
    size_t           window_bytes;
    enx_window       window, previous;
    size_t           previous_end; /* end of the previous core in previous_answer */
    bool             is_started, is_over;
    enx_tokens       prompt, forced;
    enx_tokens       guess; /* the call's, as this model's tokens */
    enx_reduce      *reduce;
    enx_grammar     *grammar; /* of a form's answer */
    char             fence[ENX_FORM_FENCE_BYTES];
    double           right; /* VERIFY: what the model gives the answer that it judges */
    enx_mask        *mask;
    enx_buf          current, previous_answer, answer;
    enx_usage_count  usage;
    double           sum_logprob, min_logprob;
    uint32_t         token_count, flags;
    enx_call_status  status;
    char             language[ENX_LANGUAGE_BYTES_MAX];
    int32_t          found_level;
    char             error[ENX_ASK_ERROR_BYTES];
};

/* ---- Skills --------------------------------------------------------------------------------- */

/* root ::= ("pt_BR" | … | "other") " " [0-3]; tags with quotes or backslashes are refused. */
static enx_status open_scout_grammar(enx_skill *s, enx_report *report)
{
    enx_gguf_value languages;
    enx_gguf_str   tag;
    enx_buf        text;
    const char    *key = "enxame.scout.languages";
    if (!enx_gguf_find(s->loaded.gguf, key, &languages) || languages.type != ENX_GGUF_ARRAY ||
        languages.element_type != ENX_GGUF_STRING || languages.count > LANGUAGES_MAX)
        return ENX_FAIL(report, FORMAT, "a scout needs the key %s, an array of at most %d strings",
                        key, LANGUAGES_MAX);
    enx_buf_init(&text, 1 << 16);
    const uint8_t *at = languages.data;
    enx_status     status = enx_buf_append_text(&text, "root ::= (\"other\"");
    for (uint64_t i = 0; status == ENX_OK && enx_gguf_next_str(&languages, i, &at, &tag); i++) {
        if (tag.size_bytes == 0 || tag.size_bytes >= ENX_LANGUAGE_BYTES_MAX ||
            memchr(tag.data, '"', tag.size_bytes) || memchr(tag.data, '\\', tag.size_bytes))
            status = ENX_FAIL(report, FORMAT, "%s: an element is no language tag", key);
        else status = enx_buf_printf(&text, " | \"%.*s\"", (int)tag.size_bytes, tag.data);
    }
    if (status == ENX_OK) status = enx_buf_append_text(&text, ") \" \" [0-3]\n");
    if (status == ENX_OK)
        status = enx_grammar_open(&s->scout_grammar, text.data, text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

enx_status enx_skill_open(enx_skill *out, const char *path, enx_report *report)
{
    enx_skill  s = { .window_bytes = ENX_WINDOW_BYTES };
    uint64_t   window_bytes = 0;
    enx_status status = enx_loaded_open(&s.loaded, path, report);
    if (status != ENX_OK) return status;
    s.context_tokens = enx_model_hparams(s.loaded.model)->context_tokens;
    if (s.context_tokens > ENX_SKILL_CONTEXT_MAX) s.context_tokens = ENX_SKILL_CONTEXT_MAX;
    if (enx_gguf_read_u64(s.loaded.gguf, "enxame.restore.window_bytes", &window_bytes, NULL) ==
        ENX_OK)
        s.window_bytes = window_bytes < ENX_WINDOW_BYTES_MIN ? ENX_WINDOW_BYTES_MIN
                         : window_bytes > 1 << 16            ? 1 << 16
                                                             : (size_t)window_bytes;
    if (enx_loaded_can(&s.loaded, "scout")) status = open_scout_grammar(&s, report);
    const char *plan = enx_plan_grammar();
    if (status == ENX_OK && enx_loaded_can(&s.loaded, "plan"))
        status = enx_grammar_open(&s.plan_grammar, plan, strlen(plan), report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        enx_skill_close(&s);
        return status;
    }
    *out = s;
    /* A template that is none of ours to read does not spoil the rest of the model. */
    if (enx_chat_open(&out->chat, &out->loaded, NULL, 0, NULL) != ENX_OK) out->chat = NULL;
    return ENX_OK;
}

void enx_skill_close(enx_skill *skill)
{
    enx_chat_close(&skill->chat);
    enx_grammar_close(&skill->plan_grammar);
    enx_grammar_close(&skill->scout_grammar);
    enx_loaded_close(&skill->loaded);
}

/* ---- Windows -------------------------------------------------------------------------------- */

static uint32_t answer_tokens_max(size_t prompt_count)
{
    return (uint32_t)(2 * prompt_count + ANSWER_TOKENS_MORE);
}

/* Of the output, at most half may be given. */
static uint32_t forced_tokens_max(size_t prompt_count)
{
    return answer_tokens_max(prompt_count) / 2;
}

/* The next window whose prompt and answer fit the model's context, and its prompt. */
static enx_status fit_window(const enx_skill *s, const enx_call *call, int tag, size_t core,
                             size_t floor, size_t *window_bytes, enx_window *window,
                             enx_tokens *prompt, enx_report *report)
{
    for (;;) {
        const enx_window w =
            enx_window_at(call->input, call->input_bytes, core, floor, *window_bytes);
        const enx_prompt_fields fields = { .text = call->input + w.first,
                                           .text_bytes = w.end - w.first,
                                           .language = call->language,
                                           .level = tag,
                                           .kinds = enx_call_kinds(call),
                                           .is_more = w.first > 0,
                                           .is_cut = w.end < call->input_bytes };
        prompt->count = 0;
        const enx_status status =
            enx_loaded_prompt(&s->loaded, call->what, &fields, prompt, report);
        if (status != ENX_OK && status != ENX_LIMIT) return status;
        if (status == ENX_OK &&
            prompt->count + answer_tokens_max(prompt->count) + 1 <= s->context_tokens) {
            *window = w;
            return ENX_OK;
        }
        if (*window_bytes / 2 < ENX_WINDOW_BYTES_MIN)
            return ENX_FAIL(report, LIMIT, "the model's context of %u tokens is too small",
                            s->context_tokens);
        *window_bytes /= 2;
    }
}

/* What the model is told, and how much the answer may change. */
static void read_levels(const enx_call *call, int *level, int *tag)
{
    *tag = call->level >= 1 && call->level <= 3 ? call->level : ENX_LEVEL_UNKNOWN;
    if (*tag == ENX_LEVEL_UNKNOWN && call->kinds && call->kinds != ENX_KINDS_ALL)
        *tag = enx_kinds_level(call->kinds);
    *level = *tag == ENX_LEVEL_UNKNOWN ? ENX_DAMAGE_PUNCTUATION : *tag;
}

unsigned enx_call_kinds(const enx_call *call)
{
    static const unsigned kinds_of_level[] = { 0, ENX_DAMAGE_KIND_ACCENTS,
                                               ENX_DAMAGE_KIND_ACCENTS | ENX_DAMAGE_KIND_CAPITALS,
                                               ENX_KINDS_ALL };
    const int             known = call->level >= 0 && call->level <= ENX_DAMAGE_PUNCTUATION;
    const unsigned        kinds = kinds_of_level[known ? call->level : ENX_DAMAGE_PUNCTUATION];
    return call->kinds ? kinds & call->kinds : kinds;
}

static uint32_t clamp_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static enx_status measure_windows(const enx_skill *s, enx_call *call, enx_tokens *prompt)
{
    int        level, tag;
    uint64_t   in = 0, out = 0;
    size_t     window_bytes = s->window_bytes;
    enx_window w = { 0 };
    read_levels(call, &level, &tag);
    do {
        ENX_TRY(fit_window(s, call, tag, w.core_end, w.first, &window_bytes, &w, prompt, NULL));
        in += prompt->count + (w.core > w.first ? forced_tokens_max(prompt->count) : 0);
        out += answer_tokens_max(prompt->count);
    } while (w.core_end < call->input_bytes);
    call->max_tokens_in = clamp_u32(in);
    call->max_tokens_out = clamp_u32(out);
    return ENX_OK;
}

bool enx_skill_can(const enx_skill *skill, const enx_class *c)
{
    return enx_loaded_can(&skill->loaded, c->name) || (skill->chat && c->instruction);
}

static json_t *message_of(const char *role, const enx_buf *content)
{
    return json_pack("{s:s, s:s#}", "role", role, "content", enx_buf_text(content),
                     (int)content->size_bytes);
}

/* A form through the model's chat template.  Today's date is no part of an answer: it is the
 * epoch's first day for all. */
static enx_status prompt_by_chat(const enx_skill *s, const enx_buf *system, const enx_buf *user,
                                 enx_tokens *prompt, enx_report *report)
{
    bool    is_thinking;
    json_t *messages = json_pack("[o, o]", message_of("system", system), message_of("user", user));
    if (!messages)
        return ENX_FAIL(report, NOMEM, "no memory for a prompt, or the text is not UTF-8");
    const enx_status status = enx_chat_prompt(s->chat, messages, 0, prompt, &is_thinking, report);
    json_decref(messages);
    return status;
}

/* A plan for a goal through the model's chat template. */
static enx_status prompt_of_goal(const enx_skill *s, const enx_call *call, const char *fence,
                                 enx_tokens *prompt, enx_report *report)
{
    enx_buf system, user;
    prompt->count = 0;
    if (!s->chat)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the model has no chat template; it cannot plan for a goal");
    enx_buf_init(&system, GOAL_WORDS_BYTES_MAX);
    enx_buf_init(&user, strlen(call->goal) + ENX_FORM_MORE_BYTES);
    enx_status status = enx_form_goal(&system);
    if (status == ENX_OK) status = enx_buf_printf(&user, "%s\n%s\n%s", fence, call->goal, fence);
    if (status == ENX_OK) status = prompt_by_chat(s, &system, &user, prompt, report);
    enx_buf_deinit(&system);
    enx_buf_deinit(&user);
    return status;
}

/* A task in words. */
static enx_status prompt_in_words(const enx_skill *s, const enx_call *call, const char *fence,
                                  enx_tokens *prompt, enx_report *report)
{
    enx_buf system, user;
    enx_buf_init(&system, ENX_CLASS_WORDS_BYTES_MAX + ENX_FORM_MORE_BYTES + strlen(call->goal));
    enx_buf_init(&user, call->input_bytes + call->answer_bytes + ENX_FORM_MORE_BYTES);
    enx_status status = enx_form_system(&system, call);
    if (status == ENX_OK) status = enx_form_user(&user, call, fence);
    if (status == ENX_OK) status = prompt_by_chat(s, &system, &user, prompt, report);
    enx_buf_deinit(&system);
    enx_buf_deinit(&user);
    return status;
}

/* As the model was made to be asked, or else in words. */
static enx_status prompt_of_form(const enx_skill *s, const enx_call *call, const char *fence,
                                 enx_tokens *prompt, enx_report *report)
{
    const enx_class        *c = call->task_class;
    const enx_prompt_fields fields = { .text = call->input, .text_bytes = call->input_bytes };
    prompt->count = 0;
    if (call->role != ENX_ROLE_VERIFY && enx_loaded_can(&s->loaded, c->name))
        return enx_loaded_prompt(&s->loaded, c->name, &fields, prompt, report);
    if (s->chat) return prompt_in_words(s, call, fence, prompt, report);
    return ENX_FAIL(report, UNSUPPORTED,
                    "the model has no key enxame.prompt.%s and no chat template; it cannot do "
                    "tasks of class %s",
                    c->name, c->name);
}

static uint32_t form_tokens(const enx_call *call)
{
    return call->role == ENX_ROLE_VERIFY ? ENX_ASK_VERDICT_TOKENS
                                         : enx_class_answer_tokens(call->task_class);
}

static enx_status measure_form(const enx_skill *s, enx_call *call, enx_tokens *prompt)
{
    char fence[ENX_FORM_FENCE_BYTES];
    enx_form_fence(fence, (enx_span){ call->input, call->input_bytes },
                   (enx_span){ call->answer, call->answer_bytes });
    ENX_TRY(prompt_of_form(s, call, fence, prompt, NULL));
    call->max_tokens_in = clamp_u32(prompt->count);
    call->max_tokens_out = form_tokens(call);
    return ENX_OK;
}

static enx_prompt_fields fields_of_head(const enx_call *call)
{
    if (call->role == ENX_ROLE_PLAN)
        return (enx_prompt_fields){ .text = call->goal, .text_bytes = strlen(call->goal) };
    return (enx_prompt_fields){ .text = call->input,
                                .text_bytes = enx_utf8_cut(call->input, call->input_bytes,
                                                           ENX_ASK_SCOUT_BYTES) };
}

void enx_skill_measure(const enx_skill *skill, enx_call *call)
{
    enx_tokens prompt;
    enx_tokens_init(&prompt, PROMPT_TOKENS_MAX);
    if (enx_form_is_goal(call)) {
        char fence[ENX_FORM_FENCE_BYTES];
        enx_form_fence(fence, (enx_span){ call->goal, strlen(call->goal) }, (enx_span){ "", 0 });
        if (prompt_of_goal(skill, call, fence, &prompt, NULL) == ENX_OK) {
            call->max_tokens_in = clamp_u32(prompt.count);
            call->max_tokens_out = ENX_GRAPH_TOKENS_MAX;
        }
    } else if (call->role == ENX_ROLE_PLAN || call->role == ENX_ROLE_SCOUT) {
        const enx_prompt_fields fields = fields_of_head(call);
        const char             *what = enx_role_text(call->role);
        if (enx_loaded_prompt(&skill->loaded, what, &fields, &prompt, NULL) == ENX_OK) {
            call->max_tokens_in = clamp_u32(prompt.count);
            call->max_tokens_out =
                call->role == ENX_ROLE_PLAN ? ENX_PLAN_TOKENS_MAX : ENX_ASK_SCOUT_TOKENS;
        }
    } else if (enx_form_is(call)) {
        const enx_call before = *call;
        if (measure_form(skill, call, &prompt) != ENX_OK) *call = before;
    } else {
        const enx_call before = *call;
        if (measure_windows(skill, call, &prompt) != ENX_OK) *call = before;
    }
    enx_tokens_deinit(&prompt);
}

/* ---- Opening -------------------------------------------------------------------------------- */

enx_status enx_ask_open(enx_ask **out, const enx_skill *skill, const enx_call *call,
                        enx_report *report)
{
    const size_t goal_bytes = strlen(call->goal) + 1, what_bytes = strlen(call->what) + 1;
    enx_ask     *ask = ENX_MEM_NEW(enx_ask, 1);
    char        *copies = ENX_MEM_NEW(char, goal_bytes + what_bytes + call->input_bytes +
                                                call->answer_bytes + call->guess_bytes + 1);
    if (!ask || !copies) {
        enx_mem_free(ask);
        enx_mem_free(copies);
        return ENX_FAIL(report, NOMEM, "no memory for a call");
    }
    memcpy(copies, call->goal, goal_bytes);
    memcpy(copies + goal_bytes, call->what, what_bytes);
    if (call->input_bytes) memcpy(copies + goal_bytes + what_bytes, call->input, call->input_bytes);
    if (call->answer_bytes)
        memcpy(copies + goal_bytes + what_bytes + call->input_bytes, call->answer,
               call->answer_bytes);
    if (call->guess_bytes)
        memcpy(copies + goal_bytes + what_bytes + call->input_bytes + call->answer_bytes,
               call->guess, call->guess_bytes);
    *ask = (enx_ask){ .skill = skill,
                      .call = *call,
                      .copies = copies,
                      .window_bytes = skill->window_bytes,
                      .found_level = ENX_LEVEL_UNKNOWN };
    ask->call.goal = copies;
    ask->call.what = copies + goal_bytes;
    ask->call.input = copies + goal_bytes + what_bytes;
    ask->call.answer = ask->call.input + call->input_bytes;
    ask->call.guess = ask->call.answer + call->answer_bytes;
    read_levels(call, &ask->level, &ask->tag);
    ask->kinds = enx_call_kinds(call);
    enx_tokens_init(&ask->prompt, PROMPT_TOKENS_MAX);
    enx_tokens_init(&ask->forced, PROMPT_TOKENS_MAX);
    enx_tokens_init(&ask->guess, PROMPT_TOKENS_MAX);
    const size_t answer_bytes_max = (call->input_bytes + 4096) * TEXT_BYTES_PER_BYTE;
    enx_buf_init(&ask->current, answer_bytes_max);
    enx_buf_init(&ask->previous_answer, answer_bytes_max);
    enx_buf_init(&ask->answer, answer_bytes_max);
    *out = ask;
    return ENX_OK;
}

void enx_ask_close(enx_ask **ask)
{
    enx_ask *a = *ask;
    if (!a) return;
    enx_mask_close(&a->mask);
    enx_reduce_close(&a->reduce);
    enx_grammar_close(&a->grammar);
    enx_tokens_deinit(&a->prompt);
    enx_tokens_deinit(&a->forced);
    enx_tokens_deinit(&a->guess);
    enx_buf_deinit(&a->current);
    enx_buf_deinit(&a->previous_answer);
    enx_buf_deinit(&a->answer);
    enx_mem_free(a->copies);
    enx_mem_free(a);
    *ask = NULL;
}

void enx_ask_fail(enx_ask *ask, enx_call_status status, uint32_t flags, const char *error)
{
    ask->is_over = true;
    ask->status = status;
    ask->flags |= flags;
    snprintf(ask->error, sizeof ask->error, "%s", error);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static enx_status open_mask(enx_ask *a, const enx_automaton *automaton, enx_report *report)
{
    const enx_loaded *l = &a->skill->loaded;
    enx_mask_close(&a->mask);
    return enx_mask_open(&a->mask, automaton, l->trie, l->tokenizer, report);
}

static enx_status prepare_head(enx_ask *a, enx_report *report)
{
    const bool              is_plan = a->call.role == ENX_ROLE_PLAN;
    const enx_prompt_fields fields = fields_of_head(&a->call);
    const char             *what = enx_role_text(a->call.role);
    const enx_grammar      *grammar = is_plan ? a->skill->plan_grammar : a->skill->scout_grammar;
    a->prompt.count = 0;
    ENX_TRY(enx_loaded_prompt(&a->skill->loaded, what, &fields, &a->prompt, report));
    ENX_CHECK(grammar); /* opened for every model that has the prompt */
    const size_t need = a->prompt.count + (is_plan ? ENX_PLAN_TOKENS_MAX : ENX_ASK_SCOUT_TOKENS);
    if (need + 1 > a->skill->context_tokens)
        return ENX_FAIL(report, LIMIT,
                        "%s of %zu tokens with its answer needs more than the "
                        "model's context of %u",
                        is_plan ? "a goal" : "a text", a->prompt.count, a->skill->context_tokens);
    return open_mask(a, enx_grammar_automaton(grammar), report);
}

/* Verdicts, and answers under a schema, are masked; other text is free. */
static enx_status prepare_form(enx_ask *a, enx_report *report)
{
    static const char verdict[] = "root ::= \"yes\" | \"no\"\n";
    const enx_class  *c = a->call.task_class;
    const bool        is_verify = a->call.role == ENX_ROLE_VERIFY;
    enx_form_fence(a->fence, (enx_span){ a->call.input, a->call.input_bytes },
                   (enx_span){ a->call.answer, a->call.answer_bytes });
    ENX_TRY(prompt_of_form(a->skill, &a->call, a->fence, &a->prompt, report));
    if (a->prompt.count + 2 > a->skill->context_tokens)
        return ENX_FAIL(report, LIMIT,
                        "a task of %zu tokens needs more than the model's context of %u",
                        a->prompt.count, a->skill->context_tokens);
    if (is_verify) ENX_TRY(enx_grammar_open(&a->grammar, verdict, sizeof verdict - 1, report));
    else if (c->schema) ENX_TRY(enx_schema_open(&a->grammar, c->schema, strlen(c->schema), report));
    return a->grammar ? open_mask(a, enx_grammar_automaton(a->grammar), report) : ENX_OK;
}

/* Force what the previous window answered to the overlap.  When it cannot be found, or is too long,
 * the window goes without: it begins at its core. */
static enx_status force_overlap(enx_ask *a, enx_report *report)
{
    const char      *text = a->call.input;
    const enx_window p = a->previous;
    size_t           cut = a->window.first, at = 0;
    a->forced.count = 0;
    if (a->window.core == a->window.first) return ENX_OK;
    while (cut > p.first &&
           (text[cut - 1] == ' ' || (text[cut - 1] >= '\t' && text[cut - 1] <= '\r')))
        cut--;
    const size_t spaces = a->window.first - cut;
    bool         found = cut == p.first;
    if (!found)
        found = enx_window_align(&at, text + p.first, p.end - p.first, cut - p.first,
                                 enx_buf_text(&a->previous_answer), a->previous_answer.size_bytes,
                                 a->kinds, NULL) == ENX_OK;
    at += spaces;
    if (found && at < a->previous_end)
        ENX_TRY(enx_tokenizer_encode(a->skill->loaded.tokenizer,
                                     enx_buf_text(&a->previous_answer) + at, a->previous_end - at,
                                     false, &a->forced, report));
    if (a->forced.count > 0 && a->forced.count <= forced_tokens_max(a->prompt.count)) return ENX_OK;
    a->forced.count = 0;
    return fit_window(a->skill, &a->call, a->tag, a->window.core, a->window.core, &a->window_bytes,
                      &a->window, &a->prompt, report);
}

static enx_status prepare_window(enx_ask *a, enx_report *report)
{
    const enx_window p = a->previous;
    ENX_TRY(fit_window(a->skill, &a->call, a->tag, p.core_end, p.first, &a->window_bytes,
                       &a->window, &a->prompt, report));
    ENX_TRY(force_overlap(a, report));
    const enx_window w = a->window;
    enx_mask_close(&a->mask);
    enx_reduce_close(&a->reduce);
    ENX_TRY(enx_reduce_open_kinds(&a->reduce, a->call.input + w.first, w.end - w.first, a->kinds,
                                  report));
    return open_mask(a, enx_reduce_automaton(a->reduce), report);
}

/* Once, before the first request: models are asked about text only. */
static enx_status check_text(enx_ask *a, enx_report *report)
{
    if (a->is_started) return ENX_OK;
    a->is_started = true;
    const size_t invalid = enx_utf8_invalid_at(a->call.input, a->call.input_bytes);
    if (a->call.role == ENX_ROLE_PLAN || invalid == a->call.input_bytes) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "byte %zu of the text is not UTF-8; it is returned as it came",
                    invalid + 1);
}

static bool is_head_call(const enx_call *call)
{
    return call->role == ENX_ROLE_PLAN || call->role == ENX_ROLE_SCOUT;
}

static enx_status prepare_goal(enx_ask *a, enx_report *report)
{
    const char *schema = enx_graph_schema();
    enx_form_fence(a->fence, (enx_span){ a->call.goal, strlen(a->call.goal) }, (enx_span){ "", 0 });
    ENX_TRY(prompt_of_goal(a->skill, &a->call, a->fence, &a->prompt, report));
    if (a->prompt.count + 2 > a->skill->context_tokens)
        return ENX_FAIL(report, LIMIT, "a goal of %zu tokens needs more than the model's context",
                        a->prompt.count);
    ENX_TRY(enx_schema_open(&a->grammar, schema, strlen(schema), report));
    return open_mask(a, enx_grammar_automaton(a->grammar), report);
}

static enx_status prepare(enx_ask *a, enx_report *report)
{
    if (enx_form_is_goal(&a->call)) return prepare_goal(a, report);
    if (is_head_call(&a->call)) return prepare_head(a, report);
    return enx_form_is(&a->call) ? prepare_form(a, report) : prepare_window(a, report);
}

/* Windows begin somewhere inside the guess; what was forced leads to the place. */
static void take_guess(enx_ask *a)
{
    if (a->call.guess_bytes == 0 || a->guess.count > 0) return;
    if (enx_tokenizer_encode(a->skill->loaded.tokenizer, a->call.guess, a->call.guess_bytes, false,
                             &a->guess, NULL) != ENX_OK)
        a->guess.count = 0; /* too long to help */
}

/* Of the next answer, by the context and by what its kind may have. */
static uint32_t request_tokens_max(const enx_ask *a)
{
    const bool is_goal = enx_form_is_goal(&a->call);
    if (a->call.role == ENX_ROLE_PLAN && !is_goal) return ENX_PLAN_TOKENS_MAX;
    if (a->call.role == ENX_ROLE_SCOUT) return ENX_ASK_SCOUT_TOKENS;
    if (!enx_form_is(&a->call) && !is_goal) return answer_tokens_max(a->prompt.count);
    const uint32_t room = a->skill->context_tokens - (uint32_t)a->prompt.count - 1;
    const uint32_t want = is_goal ? ENX_GRAPH_TOKENS_MAX : form_tokens(&a->call);
    return room < want ? room : want;
}

/* For a plan its whole job waits, for what went up the rest of its task. */
static uint32_t priority_of(enx_role role)
{
    return role == ENX_ROLE_PLAN ? 2 : role == ENX_ROLE_LEAD ? 1 : 0;
}

bool enx_ask_next(enx_ask *a, enx_request *request)
{
    enx_report report = { 0 };
    if (a->is_over) return false;
    enx_status status = check_text(a, &report);
    if (status == ENX_OK) status = prepare(a, &report);
    if (status != ENX_OK) {
        const bool is_text = status == ENX_FORMAT;
        enx_ask_fail(a, is_text ? ENX_CALL_ABSTAIN : ENX_CALL_ERROR,
                     is_text ? ENX_FLAG_MALFORMED : 0, report.text);
        return false;
    }
    take_guess(a);
    uint32_t       max_tokens = request_tokens_max(a);
    const uint64_t in =
        a->usage.tokens_in + a->usage.tokens_cached + a->prompt.count + a->forced.count;
    const uint64_t left = a->call.max_tokens_out > a->usage.tokens_out
                              ? a->call.max_tokens_out - a->usage.tokens_out
                              : 0;
    if (max_tokens > left) max_tokens = (uint32_t)left;
    if (max_tokens == 0 || in > a->call.max_tokens_in) {
        a->flags |= ENX_FLAG_TRUNCATED;
        a->is_over = true;
        return false;
    }
    *request =
        (enx_request){ .prompt = a->prompt.ids,
                       .prompt_count = (uint32_t)a->prompt.count,
                       .priority = priority_of(a->call.role),
                       .job = a->call.call_id >> 32,
                       .forced = a->forced.ids,
                       .forced_count = (uint32_t)a->forced.count,
                       .max_tokens = max_tokens,
                       .eos = enx_tokenizer_eos(a->skill->loaded.tokenizer),
                       .tokenizer = enx_form_is(&a->call) ? a->skill->loaded.tokenizer : NULL,
                       .mask = a->mask,
                       .drafts = true, /* an answer repeats much of its prompt, or of the guess */
                       .guess = a->guess.count ? a->guess.ids : NULL,
                       .guess_count = (uint32_t)a->guess.count,
                       .user = a };
    return true;
}

/* ---- Reading answers ------------------------------------------------------------------------ */

/* Sum up the places of sampled tokens that begin before byte `end` of the answer. */
static void add_logprobs(enx_ask *a, const enx_generation *g, size_t end, bool with_eos)
{
    const enx_tokenizer *tokenizer = a->skill->loaded.tokenizer;
    size_t               at = 0;
    for (uint32_t i = 0; i < g->token_count + (g->has_eos && with_eos); i++) {
        if (i >= a->forced.count && (i == g->token_count || at < end)) {
            const double logprob = (double)g->logprobs[i];
            a->sum_logprob += logprob;
            if (a->token_count == 0 || logprob < a->min_logprob) a->min_logprob = logprob;
            a->token_count++;
        }
        if (i < g->token_count) at += enx_tokenizer_bytes(tokenizer, g->tokens[i]).size_bytes;
    }
}

/* "pt_BR 3" */
static void read_scout(enx_ask *a)
{
    const char *text = enx_buf_text(&a->current);
    const char *space = strchr(text, ' ');
    if (!space || space == text || (size_t)(space - text) >= sizeof a->language || space[1] < '0' ||
        space[1] > '3' || space[2]) {
        a->flags |= ENX_FLAG_MALFORMED;
        return;
    }
    memcpy(a->language, text, (size_t)(space - text));
    a->found_level = space[1] - '0';
}

static enx_status take_head(enx_ask *a, const enx_generation *g)
{
    add_logprobs(a, g, SIZE_MAX, false);
    if (a->call.role == ENX_ROLE_SCOUT) read_scout(a);
    a->is_over = true;
    return enx_buf_append(&a->answer, enx_buf_text(&a->current), a->current.size_bytes);
}

static enx_status take_form(enx_ask *a, const enx_generation *g, enx_report *report)
{
    const enx_span text = { enx_buf_text(&a->current), a->current.size_bytes };
    bool           is_right;
    add_logprobs(a, g, SIZE_MAX, true);
    a->is_over = true;
    if (a->flags & (ENX_FLAG_TRUNCATED | ENX_FLAG_STUCK)) return ENX_OK;
    if (a->call.role != ENX_ROLE_VERIFY)
        return enx_form_read(&a->answer, a->call.task_class, a->fence, text, report);
    ENX_TRY(enx_form_read_verdict(text, &is_right));
    a->right = is_right ? exp(a->sum_logprob) : 1 - exp(a->sum_logprob);
    return enx_buf_append(&a->answer, text.text, text.size_bytes);
}

static enx_status take_window(enx_ask *a, const enx_generation *g, enx_report *report)
{
    const enx_window w = a->window;
    const char      *text = a->call.input + w.first;
    const char      *answer = enx_buf_text(&a->current);
    size_t           begin = 0, end = a->current.size_bytes;
    const bool       is_last = w.core_end == a->call.input_bytes;
    for (uint32_t i = 0; i < a->forced.count && i < g->token_count; i++)
        begin += enx_tokenizer_bytes(a->skill->loaded.tokenizer, g->tokens[i]).size_bytes;
    const bool is_whole = !(a->flags & (ENX_FLAG_TRUNCATED | ENX_FLAG_STUCK));
    if (is_whole && !is_last)
        ENX_TRY(enx_window_align(&end, text, w.end - w.first, w.core_end - w.first, answer,
                                 a->current.size_bytes, a->kinds, report));
    if (end < begin) end = begin;
    add_logprobs(a, g, end, is_last);
    ENX_TRY(enx_buf_append(&a->answer, answer + begin, end - begin));
    a->previous = w;
    a->previous_end = end;
    enx_buf_clear(&a->previous_answer);
    ENX_TRY(enx_buf_append(&a->previous_answer, answer, a->current.size_bytes));
    a->is_over = is_last || !is_whole;
    return ENX_OK;
}

void enx_ask_take(enx_ask *a, const enx_generation *g)
{
    enx_report report = { 0 };
    /* What the engine still held depends on who came before; the bill of a job must not. */
    a->usage.tokens_in += g->usage.tokens_in + g->usage.tokens_cached;
    a->usage.tokens_out += g->usage.tokens_out;
    if (g->finish == ENX_FINISH_CANCELED) {
        enx_ask_fail(a, ENX_CALL_ERROR, 0, "canceled");
        return;
    }
    if (g->finish == ENX_FINISH_LENGTH) a->flags |= ENX_FLAG_TRUNCATED;
    if (g->finish == ENX_FINISH_STUCK) a->flags |= ENX_FLAG_STUCK;
    enx_buf_clear(&a->current);
    enx_status status =
        enx_loaded_decode(&a->skill->loaded, g->tokens, g->token_count, &a->current);
    if (status == ENX_OK && is_head_call(&a->call)) status = take_head(a, g);
    else if (status == ENX_OK)
        status = enx_form_is(&a->call) ? take_form(a, g, &report) : take_window(a, g, &report);
    if (status != ENX_OK)
        enx_ask_fail(a, ENX_CALL_ERROR, ENX_FLAG_MALFORMED,
                     report.text[0] ? report.text : enx_status_text(status));
}

enx_call_report enx_ask_report(const enx_ask *a)
{
    const bool      is_head = is_head_call(&a->call);
    const bool      has_level = !is_head && !enx_form_is(&a->call);
    enx_call_report out = { .call_id = a->call.call_id,
                            .status = a->status,
                            .answer = enx_buf_text(&a->answer),
                            .answer_bytes = a->answer.size_bytes,
                            .level = a->found_level,
                            .sum_logprob = a->sum_logprob,
                            .min_logprob = a->min_logprob,
                            .token_count = a->token_count,
                            .flags = a->flags,
                            .usage = a->usage,
                            .error = a->error[0] ? a->error : NULL };
    memcpy(out.language, a->language, sizeof out.language);
    if (a->status != ENX_CALL_OK) {
        out.answer = "";
        out.answer_bytes = 0;
    } else if (!is_head && a->answer.size_bytes == 0 && a->call.input_bytes > 0)
        out.flags |= ENX_FLAG_EMPTY;
    out.error_chance = enx_loaded_error_chance(
        &a->skill->loaded, is_head ? enx_role_text(a->call.role) : a->call.what,
        has_level ? a->level : ENX_LEVEL_UNKNOWN, a->sum_logprob, a->min_logprob, a->token_count);
    out.confidence = is_head ? exp(a->sum_logprob) : 1 - out.error_chance;
    if (a->call.role == ENX_ROLE_VERIFY) out.confidence = a->right;
    return out;
}
