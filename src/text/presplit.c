/* SPDX-License-Identifier: Apache-2.0 */
/* presplit.c - pre-tokenizer patterns on PCRE2.
 *
 * Why cutting the text into segments does not change the pieces.  No alternative of any pattern
 * here has a space after something that is not white space, and none looks behind a boundary; so
 * (1) before a space that follows a visible character there is always a piece boundary, and the
 * pieces on its two sides do not depend on each other.  (2) After a line break that has visible
 * characters on both sides, the second no slash, there is one too: `\s*[\r\n]+`, `[\r\n/]*` and
 * `\s+` all end there, whether the text goes on or not.  Segments end at such a place, or at the
 * end of the text.
 *
 * Time: every expression is linear in its window.  Where a published one is not (`\s+$` tries each
 * space of a run) the row has one that matches the same and is.
 *
 * Segments are short because without the JIT (some systems forbid making code) PCRE2 checks the
 * rest of its subject again at each match: that must stay a constant.
 */
#include "text/presplit.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { SEGMENT_BYTES = 4 << 10, NAME_BYTES_MAX = 63, NAMES_BYTES_MAX = 300 };

/* One row for each expression: its names, and the expressions of its stages.  Stage 0 cuts the
 * text, each later one cuts the pieces of the stage before, alone. */
enum { ADDS_BOS = 1, IGNORES_MERGES = 2 };

typedef struct named_pattern {
    const char *names; /* with a space between them */
    unsigned    flags;
    const char *stages[ENX_PRESPLIT_STAGES_MAX]; /* NULL after the last */
} named_pattern;

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS_THEN(numbers) \
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define WORDS(numbers) CONTRACTIONS "|" WORDS_THEN(numbers)
#define GPT_2                                                            \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|" \
    "\\s+(?!\\S)|\\s+"
/* Words cut where small letters end: upper, then lower.  `tail` may follow a word. */
#define CASED(upper, lower, tail)                                                               \
    "[^\\r\\n\\p{L}\\p{N}]?" upper "*" lower "+" tail "|[^\\r\\n\\p{L}\\p{N}]?" upper "+" lower \
    "*" tail
#define UPPER            "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER            "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_ENDING     "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
/* The same two without Han: what is in no other category and not Han. */
#define UPPER_NOT_HAN    "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{Han}]"
#define LOWER_NOT_HAN    "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{Han}]"
#define CHINESE_JAPANESE "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
#define MARKED_WORDS                                         \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define CJK_RANGE "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define CLAUSE    " ?[^(\\s|.,!?…。，、।۔،)]+"
/* The letters that deepseek-llm lists; its list was made from a Unicode of its time. */
#define DEEPSEEK_LETTERS                                                                   \
    "[A-Za-z\\x{00B5}\\x{00C0}-\\x{00D6}\\x{00D8}-\\x{00F6}\\x{00F8}-\\x{01BA}\\x{01BC}-"  \
    "\\x{01BF}\\x{01C4}-\\x{0293}\\x{0295}-\\x{02AF}\\x{0370}-\\x{0373}\\x{0376}\\x{0377}" \
    "\\x{037B}-\\x{037D}\\x{037F}\\x{0386}\\x{0388}-\\x{038A}\\x{038C}\\x{038E}-\\x{03A1}" \
    "\\x{03A3}-\\x{03F5}\\x{03F7}-\\x{0481}\\x{048A}-\\x{052F}\\x{0531}-\\x{0556}"         \
    "\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}"         \
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}"         \
    "\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}"         \
    "\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}" \
    "\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-"         \
    "\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-"         \
    "\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"  \
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}" \
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}" \
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}" \
    "-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-"        \
    "\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-"        \
    "\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-" \
    "\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+"

static const named_pattern patterns[] = {
    { "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
      0,
      { WORDS("\\p{N}") } },
    { "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert "
      "exaone4 mpt olmo jais trillion granite-docling",
      0,
      { GPT_2 } },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      ADDS_BOS | IGNORES_MERGES,
      { WORDS("\\p{N}{1,3}") } },
    { "dbrx smaug-bpe chatglm-bpe glm4", 0, { WORDS("\\p{N}{1,3}") } },
    { "qwen35",
      0,
      { CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
                     " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES } },
    { "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
      0,
      { "\\p{N}", GPT_2 } },
    { "falcon", 0, { "[\\p{P}$+<=>^~|`]+", GPT_2, "[0-9][0-9][0-9]" } },
    { "default", 0, { "[\\p{P}$+<=>^~|]+", GPT_2, "\\p{N}+", "[0-9][0-9][0-9]" } },
    { "deepseek-llm",
      0,
      { "[\\r\\n]", "\\s?" DEEPSEEK_LETTERS,
        "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}"
        "\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
        "(?<!\\s)\\s++$", CJK_RANGE, "\\p{N}+" } },
    { "deepseek-coder", 0, { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_RANGE, "\\p{N}" } },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
      0,
      { "\\p{N}{1,3}", CHINESE_JAPANESE, MARKED_WORDS } },
    { "poro-chat bloom gpt3-finnish", 0, { CLAUSE } },
    { "viking", 0, { CLAUSE, "\\p{N}" } },
    { "tekken", ADDS_BOS | IGNORES_MERGES, { CASED(UPPER, LOWER, "") "|\\p{N}" CASED_ENDING } },
    { "gpt-4o llama4 kanana2 talkie minimax-m2",
      0,
      { CASED(UPPER, LOWER, CONTRACTIONS "?") "|\\p{N}{1,3}" CASED_ENDING } },
    { "kimi-k2",
      0,
      { "\\p{Han}+|" CASED(UPPER_NOT_HAN, LOWER_NOT_HAN,
                           CONTRACTIONS "?") "|\\p{N}{1,3}|"
                                             " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES } },
    { "jais-2",
      0,
      { CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                     "\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|"
                     "\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|"
                     "\\s{1,2}(?!\\S)|\\s" } },
    { "bailingmoe bailingmoe2 llada-moe",
      0,
      { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
    { "seed-coder",
      0,
      { CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|" SPACES } },
    { "ufakzeka", 0, { WORDS_THEN("\\p{N}") } },
    { "laguna", 0, { "[^\\n]+|\\n+", WORDS("\\p{N}") } },
    { "minicpm5", IGNORES_MERGES, { "\\p{N}{1,3}", WORDS("\\p{N}+") } },
};
enum { PATTERN_COUNT = sizeof patterns / sizeof patterns[0] };

struct enx_presplit {
    const named_pattern   *pattern;
    char                   name[NAME_BYTES_MAX + 1];
    pcre2_code            *codes[ENX_PRESPLIT_STAGES_MAX]; /* owned */
    size_t                 stage_count;
    pcre2_general_context *general; /* owned */
};

static void *allocate(size_t size_bytes, void *unused)
{
    (void)unused;
    return enx_mem_new(1, size_bytes);
}

static void release(void *block, void *unused)
{
    (void)unused;
    enx_mem_free(block);
}

/* Where `names` has the name as a whole. */
static bool has_name(const char *names, const char *name, size_t size_bytes)
{
    for (;;) {
        const size_t size = strcspn(names, " ");
        if (size == size_bytes && !memcmp(names, name, size)) return true;
        if (names[size] == '\0') return false;
        names += size + 1;
    }
}

static const named_pattern *find_pattern(const char *pre, size_t size_bytes)
{
    if (size_bytes == 0 || size_bytes > NAME_BYTES_MAX) return NULL;
    for (size_t i = 0; i < PATTERN_COUNT; i++)
        if (has_name(patterns[i].names, pre, size_bytes)) return &patterns[i];
    return NULL;
}

/* The first name of each row is enough for a reader; all would not fit into a report. */
static enx_status refuse(const char *pre, size_t size_bytes, enx_report *report)
{
    char   list[NAMES_BYTES_MAX];
    size_t used = 0;
    for (size_t i = 0; i < PATTERN_COUNT; i++) {
        const size_t size = strcspn(patterns[i].names, " ");
        ENX_CHECK(used + size + 2 <= sizeof list);
        list[used++] = ' ';
        memcpy(list + used, patterns[i].names, size);
        used += size;
    }
    return ENX_FAIL(report, UNSUPPORTED,
                    "pre-tokenizer \"%.*s\" is not known; those that work:%.*s, and other names "
                    "of the same",
                    (int)(size_bytes < 64 ? size_bytes : 64), pre ? pre : "", (int)used, list);
}

static enx_status compile_stage(enx_presplit *split, const char *pattern)
{
    pcre2_compile_context *compile = pcre2_compile_context_create(split->general);
    if (!compile) return ENX_NOMEM;
    int         error = 0;
    PCRE2_SIZE  where = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &where, compile);
    pcre2_compile_context_free(compile);
    ENX_CHECK(code || error == PCRE2_ERROR_HEAP_FAILED);
    if (!code) return ENX_NOMEM;
    /* Without the JIT matching is slower, and the same. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    split->codes[split->stage_count++] = code;
    return ENX_OK;
}

static enx_status compile(enx_presplit *split)
{
    split->general = pcre2_general_context_create(allocate, release, NULL);
    if (!split->general) return ENX_NOMEM;
    for (size_t i = 0; i < ENX_PRESPLIT_STAGES_MAX && split->pattern->stages[i]; i++)
        ENX_TRY(compile_stage(split, split->pattern->stages[i]));
    return ENX_OK;
}

enx_status enx_presplit_open(enx_presplit **out, const char *pre, size_t size_bytes,
                             enx_report *report)
{
    ENX_CHECK(out && (pre || size_bytes == 0));
    const named_pattern *pattern = find_pattern(pre, size_bytes);
    if (!pattern) return refuse(pre, size_bytes, report);
    enx_presplit *split = ENX_MEM_NEW(enx_presplit, 1);
    if (!split) return ENX_FAIL(report, NOMEM, "no memory for a pre-tokenizer");
    split->pattern = pattern;
    memcpy(split->name, pre, size_bytes);
    if (compile(split) != ENX_OK) {
        enx_presplit_close(&split);
        return ENX_FAIL(report, NOMEM, "no memory for a pre-tokenizer");
    }
    *out = split;
    return ENX_OK;
}

void enx_presplit_close(enx_presplit **split)
{
    if (!*split) return;
    for (size_t i = 0; i < (*split)->stage_count; i++) pcre2_code_free((*split)->codes[i]);
    pcre2_general_context_free((*split)->general);
    enx_mem_free(*split);
    *split = NULL;
}

const char *enx_presplit_name(const enx_presplit *split) { return split->name; }

bool enx_presplit_ignores_merges(const enx_presplit *split)
{
    return split->pattern->flags & IGNORES_MERGES;
}

bool enx_presplit_adds_bos(const char *pre, size_t size_bytes)
{
    const named_pattern *pattern = find_pattern(pre, size_bytes);
    return pattern && (pattern->flags & ADDS_BOS);
}

static bool is_ascii_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* White space outside ASCII: U+0085 and U+00A0; U+1680, U+180E, U+2000-200A, 2028, 2029, 202F,
 * 205F, 3000.  These are all that \s has in PCRE2. */
static bool is_space_2(const uint8_t *c) { return c[0] == 0xC2 && (c[1] == 0x85 || c[1] == 0xA0); }

static bool is_space_3(const uint8_t *c)
{
    if (c[0] == 0xE1) return (c[1] == 0x9A && c[2] == 0x80) || (c[1] == 0xA0 && c[2] == 0x8E);
    if (c[0] == 0xE3) return c[1] == 0x80 && c[2] == 0x80;
    if (c[0] != 0xE2) return false;
    if (c[1] == 0x81) return c[2] == 0x9F;
    return c[1] == 0x80 && (c[2] <= 0x8A || c[2] == 0xA8 || c[2] == 0xA9 || c[2] == 0xAF);
}

/* Is the character that ends before text[at] visible?  At least 3 bytes come before. */
static bool is_visible_before(const uint8_t *text, size_t at)
{
    if (text[at - 1] < 0x80) return !is_ascii_space(text[at - 1]);
    return !is_space_2(text + at - 2) && !is_space_3(text + at - 3);
}

static bool is_visible_after(const uint8_t *text, size_t size_bytes, size_t at)
{
    if (at >= size_bytes) return false;
    if (text[at] < 0x80) return !is_ascii_space(text[at]);
    return size_bytes - at >= 3 && !is_space_2(text + at) && !is_space_3(text + at);
}

static bool is_safe_cut(const uint8_t *text, size_t size_bytes, size_t at)
{
    if (text[at] == ' ') return is_visible_before(text, at);
    if (text[at] == '/') return false;
    return text[at - 1] == '\n' && is_visible_before(text, at - 1) &&
           is_visible_after(text, size_bytes, at);
}

/* The last start of a character at or before `at`, or `at` where there is none near. */
static size_t round_to_character(const uint8_t *text, size_t at)
{
    for (size_t back = 0; back < 4 && back < at; back++)
        if ((text[at - back] & 0xC0) != 0x80) return at - back;
    return at;
}

static size_t find_segment_end(const uint8_t *text, size_t size_bytes, size_t first)
{
    if (size_bytes - first <= SEGMENT_BYTES) return size_bytes;
    const bool   is_last = size_bytes - first <= ENX_PRESPLIT_SEGMENT_BYTES_MAX;
    const size_t limit = is_last ? size_bytes : first + ENX_PRESPLIT_SEGMENT_BYTES_MAX;
    for (size_t at = first + SEGMENT_BYTES; at < limit; at++)
        if (is_safe_cut(text, size_bytes, at)) return at;
    return is_last ? limit : round_to_character(text, limit);
}

enx_status enx_presplit_cursor_init(enx_presplit_cursor *cursor, const enx_presplit *split,
                                    const char *text, size_t size_bytes)
{
    ENX_CHECK(cursor && split && (text || size_bytes == 0));
    pcre2_match_data *match = pcre2_match_data_create(1, split->general);
    if (!match) return ENX_NOMEM;
    *cursor = (enx_presplit_cursor){
        .split = split, .text = text ? text : "", .size_bytes = size_bytes, .match_data = match
    };
    return ENX_OK;
}

void enx_presplit_cursor_deinit(enx_presplit_cursor *cursor)
{
    pcre2_match_data_free(cursor->match_data);
    cursor->match_data = NULL;
}

/* Find the next match in the stage's window.  Where there is none (the expression leaves this text
 * alone, or PCRE2 gave up), an empty one at its end: the bytes before it then become a piece. */
static void find_match(enx_presplit_cursor *cursor, size_t level)
{
    enx_presplit_stage *stage = &cursor->stages[level];
    const uint8_t      *text = (const uint8_t *)cursor->text;
    const int           found = pcre2_match(cursor->split->codes[level], text + stage->at,
                                            stage->end - stage->at, 0, 0, cursor->match_data, NULL);
    if (found > 0) {
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(cursor->match_data);
        stage->match_first = stage->at + span[0];
        stage->match_end = stage->at + span[1];
    } else {
        stage->match_first = stage->match_end = stage->end;
    }
}

/* The next piece of a stage whose window has something left; returns its end. */
static size_t take_piece(enx_presplit_cursor *cursor, size_t level)
{
    enx_presplit_stage *stage = &cursor->stages[level];
    if (stage->at == stage->match_end) find_match(cursor, level);
    size_t end = stage->at < stage->match_first ? stage->match_first : stage->match_end;
    if (end - stage->at > ENX_PRESPLIT_PIECE_BYTES_MAX)
        end = round_to_character((const uint8_t *)cursor->text,
                                 stage->at + ENX_PRESPLIT_PIECE_BYTES_MAX);
    stage->at = end;
    return end;
}

static void open_window(enx_presplit_stage *stage, size_t first, size_t end)
{
    *stage =
        (enx_presplit_stage){ .at = first, .match_first = first, .match_end = first, .end = end };
}

bool enx_presplit_next(enx_presplit_cursor *cursor, size_t *first, size_t *size_bytes)
{
    const size_t last = cursor->split->stage_count - 1;
    size_t       level = last;
    while (level > 0 && cursor->stages[level].at == cursor->stages[level].end) level--;
    enx_presplit_stage *stage = &cursor->stages[level];
    if (level == 0 && stage->at == stage->end) {
        if (stage->at == cursor->size_bytes) return false;
        stage->end = find_segment_end((const uint8_t *)cursor->text, cursor->size_bytes, stage->at);
    }
    for (;; level++) {
        *first = cursor->stages[level].at;
        const size_t end = take_piece(cursor, level);
        *size_bytes = end - *first;
        if (level == last) return true;
        open_window(&cursor->stages[level + 1], *first, end);
    }
}
