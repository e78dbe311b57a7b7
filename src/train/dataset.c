/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.c - drawing examples. */
#include "train/dataset.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "plat/file.h"
#include "text/damage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CONTROLS_MAX = 64,
    SCOUT_BYTES = 200, /* what the scout sees of a paragraph */
    EXAMPLE_BYTES_MAX = 1 << 16,
    EXAMPLE_TOKENS_MAX = 1 << 16,
    FILL_TRIES = 2, /* examples that do not fit before a batch counts as full */
    LANGUAGE_BYTES_MAX = 24,
    CHARACTER_BYTES_MAX = 4,
    RATIO_LINES = 2000,
};

enum control { END, OUT, RESTORE, SCOUT, PLAN, MORE, CUT, LEVEL_1, LEVEL_2, LEVEL_3, LANGUAGES };

static const char *const fixed_controls[] = { "<|end|>",  "<|out|>",  "<|restore|>", "<|scout|>",
                                              "<|plan|>", "<|more|>", "<|cut|>",     "<|L1|>",
                                              "<|L2|>",   "<|L3|>" };

typedef struct source {
    const enx_recipe_source *recipe;
    enx_buf                  text;
    double                   weight;
    uint32_t *starts; /* [line_count + 1], each line ends `gap` before the next start */
    uint32_t  line_count;
    uint32_t  used_count; /* of the lines, in the order of the first round */
    uint32_t  gap;        /* bytes between lines: a line break, or none between windows */
    uint32_t  language;   /* control id, or ENX_TOKEN_NONE */
    unsigned  lexicon;    /* index, when there are lexicons */
} source;

typedef struct language_lexicon {
    const char  *language; /* borrowed from the recipe */
    enx_lexicon *lexicon;
} language_lexicon;

/* Where one example is put together. */
typedef struct workbench {
    enx_buf    damaged, drafted, target;
    enx_tokens tokens;
    uint32_t   prompt_count; /* tokens before the first target */
    bool       is_plain;     /* may be cut anywhere */
} workbench;

struct enx_dataset {
    const enx_recipe    *recipe;
    const enx_tokenizer *tokenizer;
    source               sources[ENX_RECIPE_SOURCES_MAX];
    double               weight_sum;
    char                 names[CONTROLS_MAX][LANGUAGE_BYTES_MAX + 5];
    const char          *controls[CONTROLS_MAX];
    uint32_t             control_count;
    uint32_t             control_ids[CONTROLS_MAX];
    uint64_t            *state; /* [shards][1 + sources]: draws in all, draws of each source */
    workbench            benches[ENX_DATASET_SHARDS_MAX];
    language_lexicon     lexicons[CONTROLS_MAX];
    unsigned             lexicon_count;
    uint64_t             hash, bytes;
};

/* ---- Opening -------------------------------------------------------------------------------- */

/* Windows of running text: `window` bytes and a few more or less, never inside a character. */
static enx_status index_windows(source *s, uint32_t window, enx_report *report)
{
    const size_t size_bytes = s->text.size_bytes;
    if (size_bytes == 0) return ENX_FAIL(report, FORMAT, "%s: no text", s->recipe->file);
    s->line_count = (uint32_t)((size_bytes + window - 1) / window);
    s->starts = ENX_MEM_NEW(uint32_t, (size_t)s->line_count + 1);
    if (!s->starts) return ENX_FAIL(report, NOMEM, "no memory to index %s", s->recipe->file);
    for (uint32_t i = 1; i < s->line_count; i++) {
        size_t at = (size_t)i * window;
        for (int k = 0; k < CHARACTER_BYTES_MAX - 1 && ((uint8_t)s->text.data[at] & 0xC0) == 0x80;
             k++)
            at--;
        s->starts[i] = (uint32_t)at;
    }
    s->starts[s->line_count] = (uint32_t)size_bytes;
    return ENX_OK;
}

static enx_status index_lines(source *s, enx_report *report)
{
    s->gap = 1;
    uint32_t lines = 0;
    for (size_t i = 0; i < s->text.size_bytes; i++) lines += s->text.data[i] == '\n';
    if (lines == 0) return ENX_FAIL(report, FORMAT, "%s: no line of text", s->recipe->file);
    s->starts = ENX_MEM_NEW(uint32_t, (size_t)lines + 1);
    if (!s->starts) return ENX_FAIL(report, NOMEM, "no memory to index %s", s->recipe->file);
    for (size_t i = 0; i < s->text.size_bytes; i++)
        if (s->text.data[i] == '\n') s->starts[++s->line_count] = (uint32_t)i + 1;
    return ENX_OK;
}

static size_t line_bytes(const source *s, uint32_t line)
{
    return s->starts[line + 1] - s->starts[line] - s->gap;
}

static uint64_t fnv1a(uint64_t hash, const char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static enx_status open_source(enx_dataset *d, source *s, const char *folder, enx_report *report)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, s->recipe->file) >= (int)sizeof path)
        return ENX_FAIL(report, LIMIT, "path too long: %s/%s", folder, s->recipe->file);
    enx_buf_init(&s->text, ENX_DATASET_BYTES_MAX);
    ENX_TRY(enx_file_read(&s->text, path, report));
    /* A window's tokens are at most its bytes: with the three that a character may add they, and
     * the word before them, fit the context. */
    const uint32_t window = d->recipe->model.context - CHARACTER_BYTES_MAX;
    ENX_TRY(s->recipe->kind == ENX_SOURCE_PLAIN ? index_windows(s, window, report)
                                                : index_lines(s, report));
    s->used_count = s->line_count;
    s->weight = s->recipe->weight > 0 ? s->recipe->weight : (double)s->text.size_bytes;
    d->hash = fnv1a(d->hash, s->text.data, s->text.size_bytes);
    d->bytes += s->text.size_bytes;
    d->weight_sum += s->weight;
    s->language = ENX_TOKEN_NONE;
    for (uint32_t i = LANGUAGES; s->recipe->language && i < d->control_count; i++)
        if (strncmp(d->names[i] + 2, s->recipe->language, strlen(s->recipe->language)) == 0 &&
            strlen(d->names[i]) == strlen(s->recipe->language) + 4)
            s->language = i;
    return ENX_OK;
}

/* Of all plain text only so many bytes, from each source in proportion. */
static void limit_plain(enx_dataset *d, double unique_bytes)
{
    double plain_bytes = 0;
    for (unsigned i = 0; i < d->recipe->sources_count; i++)
        if (d->sources[i].recipe->kind == ENX_SOURCE_PLAIN)
            plain_bytes += (double)d->sources[i].text.size_bytes;
    for (unsigned i = 0; i < d->recipe->sources_count && unique_bytes < plain_bytes; i++) {
        source *s = &d->sources[i];
        if (s->recipe->kind == ENX_SOURCE_PLAIN)
            s->used_count = (uint32_t)fmax(1, round(s->line_count * unique_bytes / plain_bytes));
    }
}

static bool is_same_tag(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* One lexicon from all restore sources of the language of sources[first]. */
static enx_status make_lexicon(enx_dataset *d, unsigned first, enx_report *report)
{
    const char *language = d->sources[first].recipe->language;
    enx_buf     all;
    enx_buf_init(&all, ENX_DATASET_BYTES_MAX);
    enx_status status = ENX_OK;
    for (unsigned i = first; i < d->recipe->sources_count && status == ENX_OK; i++) {
        source *s = &d->sources[i];
        if (s->recipe->kind != ENX_SOURCE_RESTORE || !is_same_tag(s->recipe->language, language))
            continue;
        s->lexicon = d->lexicon_count;
        status = enx_buf_append(&all, s->text.data, s->text.size_bytes);
    }
    if (status != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for the lexicon of %s", language);
    else
        status = enx_lexicon_open_text(&d->lexicons[d->lexicon_count].lexicon, enx_buf_text(&all),
                                       all.size_bytes, report);
    enx_buf_deinit(&all);
    if (status == ENX_OK) d->lexicons[d->lexicon_count++].language = language;
    return status;
}

static enx_status make_lexicons(enx_dataset *d, enx_report *report)
{
    for (unsigned i = 0; i < d->recipe->sources_count; i++) {
        const enx_recipe_source *s = &d->recipe->sources[i];
        bool                     is_made = s->kind != ENX_SOURCE_RESTORE;
        for (unsigned k = 0; k < d->lexicon_count && !is_made; k++)
            is_made = is_same_tag(d->lexicons[k].language, s->language);
        if (is_made) continue;
        if (d->lexicon_count == CONTROLS_MAX)
            return ENX_FAIL(report, LIMIT, "lexicons of at most %d languages", CONTROLS_MAX);
        ENX_TRY(make_lexicon(d, i, report));
    }
    return ENX_OK;
}

const enx_lexicon *enx_dataset_lexicon(const enx_dataset *dataset, unsigned index,
                                       const char **language)
{
    if (index >= dataset->lexicon_count) return NULL;
    *language = dataset->lexicons[index].language;
    return dataset->lexicons[index].lexicon;
}

static enx_status name_controls(enx_dataset *d, enx_report *report)
{
    for (uint32_t i = 0; i < LANGUAGES; i++) d->controls[i] = fixed_controls[i];
    d->control_count = LANGUAGES;
    for (unsigned i = 0; i < d->recipe->languages_count; i++) {
        if (d->control_count == CONTROLS_MAX ||
            strlen(d->recipe->languages[i]) > LANGUAGE_BYTES_MAX)
            return ENX_FAIL(report, LIMIT, "languages: at most %d tags of %d bytes",
                            CONTROLS_MAX - LANGUAGES, LANGUAGE_BYTES_MAX);
        snprintf(d->names[d->control_count], sizeof d->names[0], "<|%.*s|>", LANGUAGE_BYTES_MAX,
                 d->recipe->languages[i]);
        d->controls[d->control_count] = d->names[d->control_count];
        d->control_count++;
    }
    return ENX_OK;
}

enx_status enx_dataset_open(enx_dataset **out, const enx_recipe *recipe, const char *folder,
                            enx_report *report)
{
    enx_dataset *d = ENX_MEM_NEW(enx_dataset, 1);
    if (!d) return ENX_FAIL(report, NOMEM, "no memory for a dataset");
    d->recipe = recipe;
    d->hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < ENX_DATASET_SHARDS_MAX; i++) {
        enx_buf_init(&d->benches[i].damaged, EXAMPLE_BYTES_MAX);
        enx_buf_init(&d->benches[i].drafted, 4 * EXAMPLE_BYTES_MAX);
        enx_buf_init(&d->benches[i].target, EXAMPLE_BYTES_MAX);
        enx_tokens_init(&d->benches[i].tokens, EXAMPLE_TOKENS_MAX);
    }
    enx_status status = name_controls(d, report);
    for (unsigned i = 0; status == ENX_OK && i < recipe->sources_count; i++) {
        d->sources[i].recipe = &recipe->sources[i];
        status = open_source(d, &d->sources[i], folder, report);
    }
    if (status == ENX_OK && recipe->unique_bytes > 0) limit_plain(d, recipe->unique_bytes);
    if (status == ENX_OK && recipe->restore.draft > 0) status = make_lexicons(d, report);
    d->state = ENX_MEM_NEW(uint64_t, (size_t)recipe->train.shards * (1 + recipe->sources_count));
    if (status == ENX_OK && !d->state)
        status = ENX_FAIL(report, NOMEM, "no memory for draw counts");
    if (status != ENX_OK) {
        enx_dataset_close(&d);
        return status;
    }
    *out = d;
    return ENX_OK;
}

void enx_dataset_close(enx_dataset **dataset)
{
    if (!*dataset) return;
    enx_dataset *d = *dataset;
    for (unsigned i = 0; i < d->recipe->sources_count; i++) {
        enx_buf_deinit(&d->sources[i].text);
        enx_mem_free(d->sources[i].starts);
    }
    for (size_t i = 0; i < ENX_DATASET_SHARDS_MAX; i++) {
        enx_buf_deinit(&d->benches[i].damaged);
        enx_buf_deinit(&d->benches[i].drafted);
        enx_buf_deinit(&d->benches[i].target);
        enx_tokens_deinit(&d->benches[i].tokens);
    }
    for (unsigned i = 0; i < d->lexicon_count; i++) enx_lexicon_close(&d->lexicons[i].lexicon);
    enx_mem_free(d->state);
    enx_mem_free(d);
    *dataset = NULL;
}

const char *const *enx_dataset_controls(const enx_dataset *dataset, uint32_t *count)
{
    *count = dataset->control_count;
    return dataset->controls;
}

enx_status enx_dataset_set_tokenizer(enx_dataset *dataset, const enx_tokenizer *tokenizer,
                                     enx_report *report)
{
    for (uint32_t i = 0; i < dataset->control_count; i++) {
        const char *name = dataset->controls[i];
        dataset->control_ids[i] = enx_tokenizer_find(tokenizer, name, strlen(name));
        if (dataset->control_ids[i] == ENX_TOKEN_NONE)
            return ENX_FAIL(report, NOTFOUND, "the tokenizer lacks the control word %s", name);
    }
    dataset->tokenizer = tokenizer;
    return ENX_OK;
}

void enx_dataset_rewind(enx_dataset *dataset)
{
    size_t    count;
    uint64_t *state = enx_dataset_state(dataset, &count);
    memset(state, 0, count * sizeof *state);
}

uint64_t *enx_dataset_state(enx_dataset *dataset, size_t *count)
{
    *count = (size_t)dataset->recipe->train.shards * (1 + dataset->recipe->sources_count);
    return dataset->state;
}

uint64_t enx_dataset_hash(const enx_dataset *dataset) { return dataset->hash; }

uint64_t enx_dataset_bytes(const enx_dataset *dataset) { return dataset->bytes; }

uint64_t enx_dataset_used_bytes(const enx_dataset *dataset)
{
    double used = 0;
    for (unsigned i = 0; i < dataset->recipe->sources_count; i++) {
        const source *s = &dataset->sources[i];
        used += (double)s->text.size_bytes * s->used_count / s->line_count;
    }
    return (uint64_t)used;
}

enx_status enx_dataset_damage_ratio(const enx_dataset *dataset, double *ratio, enx_report *report)
{
    enx_buf    damaged;
    enx_status status = ENX_OK;
    enx_buf_init(&damaged, EXAMPLE_BYTES_MAX);
    *ratio = 1;
    for (unsigned i = 0; i < dataset->recipe->sources_count && status == ENX_OK; i++) {
        const source *s = &dataset->sources[i];
        double        whole_bytes = 0, damaged_bytes = 0;
        if (s->recipe->kind != ENX_SOURCE_RESTORE) continue;
        for (uint32_t line = 0; line < s->line_count && line < RATIO_LINES; line++) {
            const size_t size_bytes = line_bytes(s, line);
            if (size_bytes > EXAMPLE_BYTES_MAX) continue;
            enx_buf_clear(&damaged);
            status = enx_damage(&damaged, s->text.data + s->starts[line], size_bytes,
                                ENX_DAMAGE_PUNCTUATION, report);
            if (status != ENX_OK) break;
            whole_bytes += (double)size_bytes;
            damaged_bytes += (double)damaged.size_bytes;
        }
        if (damaged_bytes < *ratio * whole_bytes) *ratio = damaged_bytes / whole_bytes;
    }
    enx_buf_deinit(&damaged);
    return status;
}

/* ---- One draw ------------------------------------------------------------------------------- */

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The line of draw number `draw`: each round of line_count draws is a permutation
 * i -> (i * step + shift) mod count, step coprime to count and near the golden section. */
static uint32_t line_of_draw(uint64_t draw, uint32_t count, uint64_t seed)
{
    const uint64_t round = draw / count;
    enx_rng        rng = enx_rng_open(seed, round);
    uint64_t       step = (uint64_t)(count * 0.6180339887) + enx_rng_below(&rng, 97) + 1;
    while (common_divisor(step, count) != 1) step++;
    return (uint32_t)(((draw % count) * step + enx_rng_below(&rng, count)) % count);
}

static const source *draw_source(const enx_dataset *d, enx_rng *rng, unsigned *index)
{
    double at = enx_rng_unit(rng) * d->weight_sum;
    for (*index = 0; *index + 1 < d->recipe->sources_count; ++*index) {
        at -= d->sources[*index].weight;
        if (at < 0) break;
    }
    return &d->sources[*index];
}

typedef struct span {
    const char *text;
    size_t      size_bytes;
    bool        has_more, is_cut; /* text was left out before, after */
} span;

/* At most window_bytes, cut at spaces, anywhere in the paragraph. */
static span draw_window(span whole, size_t window_bytes, enx_rng *rng)
{
    if (whole.size_bytes <= window_bytes) return whole;
    size_t first = enx_rng_below(rng, 3) == 0
                       ? 0
                       : (size_t)enx_rng_below(rng, whole.size_bytes - window_bytes / 2);
    while (first > 0 && first < whole.size_bytes && whole.text[first - 1] != ' ') first++;
    size_t end = first + window_bytes;
    if (end >= whole.size_bytes) end = whole.size_bytes;
    else
        while (end > first && whole.text[end] != ' ') end--;
    if (end <= first + 8) return (span){ whole.text, 0, false, false };
    return (span){ whole.text + first, end - first, first > 0, end < whole.size_bytes };
}

static int draw_level(const enx_recipe_restore *r, enx_rng *rng)
{
    const double at = enx_rng_unit(rng) * (r->level_1 + r->level_2 + r->level_3);
    return at < r->level_1 ? 1 : at < r->level_1 + r->level_2 ? 2 : 3;
}

static const unsigned kinds_of_level[] = { 0, ENX_DAMAGE_KIND_ACCENTS,
                                           ENX_DAMAGE_KIND_ACCENTS | ENX_DAMAGE_KIND_CAPITALS,
                                           ENX_DAMAGE_KIND_ACCENTS | ENX_DAMAGE_KIND_CAPITALS |
                                               ENX_DAMAGE_KIND_PUNCTUATION };

static enx_status push_control(enx_dataset *d, workbench *w, uint32_t control)
{
    return enx_tokens_push(&w->tokens, d->control_ids[control]);
}

static enx_status push_text(enx_dataset *d, workbench *w, const char *text, size_t size_bytes,
                            enx_report *report)
{
    return enx_tokenizer_encode(d->tokenizer, text, size_bytes, false, &w->tokens, report);
}

/* damaged and target of a restore draw: damaged at `level`, repaired down to `repair`. */
static enx_status damage_pair(workbench *w, span text, int level, int repair, enx_report *report)
{
    enx_buf_clear(&w->damaged);
    enx_buf_clear(&w->target);
    ENX_TRY(
        enx_damage_kinds(&w->damaged, text.text, text.size_bytes, kinds_of_level[level], report));
    return enx_damage_kinds(&w->target, text.text, text.size_bytes,
                            kinds_of_level[level] & ~kinds_of_level[repair], report);
}

static enx_status make_restore(enx_dataset *d, workbench *w, const source *s, span text,
                               enx_rng *rng, enx_report *report)
{
    const enx_recipe_restore *r = &d->recipe->restore;
    text = draw_window(text, r->window_bytes, rng);
    const int level = draw_level(r, rng);
    int       repair = level;
    if (level > 1 && enx_rng_unit(rng) < r->partial)
        repair = 1 + (int)enx_rng_below(rng, (uint64_t)level - 1);
    const bool has_language = enx_rng_unit(rng) >= r->tag_dropout;
    const bool has_level = repair != level || enx_rng_unit(rng) >= r->tag_dropout;
    ENX_TRY(damage_pair(w, text, level, repair, report));
    const enx_buf *shown = &w->damaged;
    if (d->lexicon_count > 0 && (has_language || d->lexicon_count == 1) &&
        enx_rng_unit(rng) < r->draft) {
        enx_buf_clear(&w->drafted);
        ENX_TRY(enx_lexicon_draft(d->lexicons[s->lexicon].lexicon, enx_buf_text(&w->damaged),
                                  w->damaged.size_bytes, kinds_of_level[repair], rng, &w->drafted,
                                  report));
        shown = &w->drafted;
    }
    ENX_TRY(push_control(d, w, RESTORE));
    if (has_language && s->language != ENX_TOKEN_NONE) ENX_TRY(push_control(d, w, s->language));
    if (has_level) ENX_TRY(push_control(d, w, (uint32_t)(LEVEL_1 + repair - 1)));
    if (text.has_more) ENX_TRY(push_control(d, w, MORE));
    ENX_TRY(push_text(d, w, enx_buf_text(shown), shown->size_bytes, report));
    if (text.is_cut) ENX_TRY(push_control(d, w, CUT));
    ENX_TRY(push_control(d, w, OUT));
    w->prompt_count = (uint32_t)w->tokens.count;
    return push_text(d, w, enx_buf_text(&w->target), w->target.size_bytes, report);
}

static enx_status make_scout(enx_dataset *d, workbench *w, const source *s, span text, enx_rng *rng,
                             enx_report *report)
{
    const int level = (int)enx_rng_below(rng, 4);
    ENX_TRY(damage_pair(w, text, level, level, report));
    size_t end = w->damaged.size_bytes < SCOUT_BYTES ? w->damaged.size_bytes : SCOUT_BYTES;
    while (end < w->damaged.size_bytes && end > 0 && ((uint8_t)w->damaged.data[end] & 0xC0) == 0x80)
        end--;
    ENX_TRY(push_control(d, w, SCOUT));
    ENX_TRY(push_text(d, w, enx_buf_text(&w->damaged), end, report));
    ENX_TRY(push_control(d, w, OUT));
    w->prompt_count = (uint32_t)w->tokens.count;
    char answer[LANGUAGE_BYTES_MAX + 8];
    snprintf(answer, sizeof answer, "%s %d", s->recipe->language ? s->recipe->language : "other",
             level);
    enx_buf_clear(&w->target);
    ENX_TRY(enx_buf_append_text(&w->target, answer));
    return push_text(d, w, answer, strlen(answer), report);
}

static enx_status make_pair(enx_dataset *d, workbench *w, const source *s, span text,
                            enx_report *report)
{
    const char *tab = memchr(text.text, '\t', text.size_bytes);
    if (!tab) return ENX_FAIL(report, FORMAT, "%s: a line without TAB", s->recipe->file);
    const size_t prompt_bytes = (size_t)(tab - text.text);
    ENX_TRY(push_control(d, w, PLAN));
    ENX_TRY(push_text(d, w, text.text, prompt_bytes, report));
    ENX_TRY(push_control(d, w, OUT));
    w->prompt_count = (uint32_t)w->tokens.count;
    enx_buf_clear(&w->target);
    ENX_TRY(enx_buf_append(&w->target, tab + 1, text.size_bytes - prompt_bytes - 1));
    return push_text(d, w, tab + 1, text.size_bytes - prompt_bytes - 1, report);
}

static enx_status make_text(enx_dataset *d, workbench *w, span text, enx_report *report)
{
    w->prompt_count = 1;
    enx_buf_clear(&w->target);
    ENX_TRY(enx_buf_append(&w->target, text.text, text.size_bytes));
    return push_text(d, w, text.text, text.size_bytes, report);
}

/* A piece of running text: <|end|> stands before it, as before a text, and none behind it. */
static enx_status make_plain(enx_dataset *d, workbench *w, span text, enx_report *report)
{
    w->is_plain = true;
    w->prompt_count = 1;
    ENX_TRY(push_control(d, w, END));
    enx_buf_clear(&w->target);
    ENX_TRY(enx_buf_append(&w->target, text.text, text.size_bytes));
    return push_text(d, w, text.text, text.size_bytes, report);
}

/* The shard's next example into its workbench. */
static enx_status draw_example(enx_dataset *d, uint32_t shard, enx_report *report)
{
    workbench     *w = &d->benches[shard];
    const size_t   stride = 1 + d->recipe->sources_count;
    uint64_t      *state = d->state + shard * stride;
    enx_rng        rng = enx_rng_open(d->recipe->seed + shard, ++state[0]);
    unsigned       index;
    const source  *s = draw_source(d, &rng, &index);
    const uint64_t draw = state[1 + index]++ * d->recipe->train.shards + shard;
    const uint32_t line = line_of_draw(s->used_count < s->line_count ? draw % s->used_count : draw,
                                       s->line_count, d->recipe->seed ^ index);
    const span text = { s->text.data + s->starts[line], line_bytes(s, line), false, false };
    w->tokens.count = 0;
    w->is_plain = false;
    enx_status status = ENX_OK;
    switch (s->recipe->kind) {
    case ENX_SOURCE_TEXT:
        status = make_text(d, w, text, report);
        break;
    case ENX_SOURCE_RESTORE:
        status = make_restore(d, w, s, text, &rng, report);
        break;
    case ENX_SOURCE_SCOUT:
        status = make_scout(d, w, s, text, &rng, report);
        break;
    case ENX_SOURCE_PAIRS:
        status = make_pair(d, w, s, text, report);
        break;
    case ENX_SOURCE_PLAIN:
        return make_plain(d, w, text, report);
    }
    if (status == ENX_OK) status = push_control(d, w, END);
    return status;
}

/* ---- Batches -------------------------------------------------------------------------------- */

/* tokens[0..count-1) are inputs, each aiming at the next token. */
static void put_segment(enx_batch *b, uint32_t at, const workbench *w)
{
    const uint32_t count = (uint32_t)w->tokens.count - 1;
    for (uint32_t i = 0; i < count; i++) {
        const bool is_target = i + 1 >= w->prompt_count;
        b->tokens[at + i] = w->tokens.ids[i];
        b->targets[at + i] = is_target ? w->tokens.ids[i + 1] : ENX_TARGET_NONE;
        b->positions[at + i] = i;
        b->target_count += is_target;
    }
    b->text_bytes += w->target.size_bytes;
    b->segment_ends[b->segment_count++] = at + count;
}

static void pad_segment(const enx_dataset *d, enx_batch *b, uint32_t at)
{
    for (uint32_t i = at; i < b->token_count; i++) {
        b->tokens[i] = d->control_ids[END];
        b->targets[i] = ENX_TARGET_NONE;
        b->positions[i] = (i - at) % 32;
        if (i + 1 == b->token_count || (i + 1 - at) % 32 == 0)
            b->segment_ends[b->segment_count++] = i + 1;
    }
}

/* What does not fit of running text is left out, and so are its bytes. */
static void cut_plain(const enx_dataset *d, workbench *w, uint32_t room)
{
    if (!w->is_plain || w->tokens.count - 1 <= room) return;
    w->tokens.count = (size_t)room + 1;
    w->target.size_bytes = 0;
    for (size_t i = 1; i < w->tokens.count; i++)
        w->target.size_bytes += enx_tokenizer_bytes(d->tokenizer, w->tokens.ids[i]).size_bytes;
}

enx_status enx_dataset_fill(enx_dataset *dataset, uint32_t shard, enx_batch *batch,
                            uint32_t max_segment, enx_report *report)
{
    ENX_CHECK(dataset->tokenizer && shard < dataset->recipe->train.shards);
    workbench *w = &dataset->benches[shard];
    uint32_t   used = 0;
    batch->segment_count = batch->target_count = 0;
    batch->text_bytes = 0;
    for (int misses = 0; misses < FILL_TRIES && used < batch->token_count;) {
        ENX_TRY(draw_example(dataset, shard, report));
        cut_plain(dataset, w, batch->token_count - used);
        const size_t need = w->tokens.count - 1;
        if (need > max_segment || w->tokens.count <= w->prompt_count + 1 ||
            used + need > batch->token_count) {
            misses++;
            continue;
        }
        put_segment(batch, used, w);
        used += (uint32_t)need;
    }
    if (used == 0)
        return ENX_FAIL(report, LIMIT, "no example fits %u tokens; raise context or shard_tokens",
                        max_segment);
    pad_segment(dataset, batch, used);
    return ENX_OK;
}

/* ---- Text for the tokenizer --------------------------------------------------------------- */

enx_status enx_dataset_feed(enx_dataset *dataset, enx_dataset_feed_fn feed, void *user,
                            enx_report *report)
{
    const double budget = dataset->recipe->tokenizer.feed_mb * 1e6;
    workbench   *w = &dataset->benches[0];
    for (unsigned i = 0; i < dataset->recipe->sources_count; i++) {
        const source *s = &dataset->sources[i];
        const double  share = budget * s->weight / dataset->weight_sum;
        double        fed = 0;
        for (uint32_t line = 0; line < s->line_count && fed < share; line++) {
            const char  *text = s->text.data + s->starts[line];
            const size_t size_bytes = line_bytes(s, line);
            const int    level = line % 2 ? 3 : 1; /* damaged and whole, as the model meets them */
            ENX_TRY(feed(user, text, size_bytes));
            fed += (double)size_bytes;
            if (s->recipe->kind != ENX_SOURCE_RESTORE && s->recipe->kind != ENX_SOURCE_SCOUT)
                continue;
            enx_buf_clear(&w->damaged);
            if (size_bytes > EXAMPLE_BYTES_MAX) continue;
            ENX_TRY(enx_damage(&w->damaged, text, size_bytes, level, report));
            ENX_TRY(feed(user, enx_buf_text(&w->damaged), w->damaged.size_bytes));
            fed += (double)w->damaged.size_bytes;
        }
    }
    return ENX_OK;
}
