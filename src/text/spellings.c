/* SPDX-License-Identifier: Apache-2.0 */
/* spellings.c - damage run backwards, by asking it about every code point that may matter. */
#include "text/spellings.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/damage.h"

#include <string.h>
#include <utf8proc.h>

/* Where letters with marks and letters with case live; case alone is also found outside, by the
 * upper-case mapping of the letters themselves.  A letter has about 120 spellings at most. */
enum { SCAN_FIRST = 0x41, SCAN_END = 0x2500, POINTS = 0x110000, OPTIONS_MAX = 512 };

/* A code point that damage turns into a letter (and a second one; 0: none). */
typedef struct candidate {
    int32_t  point, second;
    uint32_t next; /* of the same letter, in rising order; 0: last */
} candidate;

typedef struct builder {
    enx_spellings *into;
    candidate     *candidates; /* [0] is none */
    uint32_t       candidate_count, candidate_capacity;
    uint32_t      *first, *last; /* per letter */
    unsigned       kinds;
} builder;

typedef struct option {
    int32_t  point;
    uint32_t letters;
    uint8_t  bytes[4], size;
} option;

static enx_status grow(void **block, uint32_t *capacity, uint32_t need, size_t item_bytes)
{
    if (need <= *capacity) return ENX_OK;
    const uint32_t bigger = need + need / 2 + 64;
    void          *grown = enx_mem_resize(*block, *capacity * item_bytes, bigger * item_bytes);
    if (!grown) return ENX_NOMEM;
    *block = grown;
    *capacity = bigger;
    return ENX_OK;
}

static uint32_t find_letter(const enx_spellings *spellings, int32_t letter)
{
    uint32_t low = 0, high = spellings->letter_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (spellings->letters[middle].letter < letter) low = middle + 1;
        else high = middle;
    }
    return low < spellings->letter_count && spellings->letters[low].letter == letter ? low
                                                                                     : UINT32_MAX;
}

/* The distinct code points of the text that damage leaves alone. */
static enx_status collect_letters(enx_spellings *spellings, const int32_t *text, size_t point_count,
                                  unsigned kinds)
{
    uint64_t *seen = enx_mem_new(POINTS / 64, sizeof *seen);
    if (!seen) return ENX_NOMEM;
    uint32_t count = 0;
    for (size_t i = 0; i < point_count; i++) {
        if (text[i] < 0) continue;
        uint64_t      *word = &seen[text[i] >> 6];
        const uint64_t bit = UINT64_C(1) << (text[i] & 63);
        count += !(*word & bit);
        *word |= bit;
    }
    spellings->letters = ENX_MEM_NEW(enx_spelling_letter, count + 1);
    const bool has_memory = spellings->letters;
    for (int32_t word = 0; has_memory && word < POINTS / 64; word++)
        for (uint64_t left = seen[word]; left; left &= left - 1) {
            const int32_t point = word * 64 + __builtin_ctzll(left);
            int32_t       plain[ENX_DAMAGE_LETTERS_MAX];
            if (enx_damage_letters(plain, point, kinds) == 1 && plain[0] == point)
                spellings->letters[spellings->letter_count++].letter = point;
        }
    enx_mem_free(seen);
    return has_memory ? ENX_OK : ENX_NOMEM;
}

/* Note what `point` is a spelling of, if the text has that letter. */
static enx_status offer_point(builder *build, int32_t point)
{
    int32_t      plain[ENX_DAMAGE_LETTERS_MAX];
    const size_t count = enx_damage_letters(plain, point, build->kinds);
    if (count == 0 || count > 2 || (count == 1 && plain[0] == point)) return ENX_OK;
    const uint32_t letter = find_letter(build->into, plain[0]);
    if (letter == UINT32_MAX) return ENX_OK;
    const uint32_t at = build->candidate_count;
    void          *block = build->candidates;
    ENX_TRY(grow(&block, &build->candidate_capacity, at + 1, sizeof *build->candidates));
    build->candidates = block;
    build->candidates[at] = (candidate){ .point = point, .second = count == 2 ? plain[1] : 0 };
    if (build->first[letter]) build->candidates[build->last[letter]].next = at;
    else build->first[letter] = at;
    build->last[letter] = at;
    build->candidate_count++;
    return ENX_OK;
}

static enx_status find_candidates(builder *build)
{
    build->candidate_count = 1;
    for (int32_t point = SCAN_FIRST; point < SCAN_END; point++) {
        const utf8proc_property_t *property = utf8proc_get_property(point);
        const bool                 may_change = property->decomp_seqindex != UINT16_MAX ||
                                property->lowercase_seqindex != UINT16_MAX || point < 0x180;
        if (may_change) ENX_TRY(offer_point(build, point));
    }
    if (!(build->kinds & ENX_DAMAGE_KIND_CAPITALS)) return ENX_OK;
    for (uint32_t i = 0; i < build->into->letter_count; i++) {
        const int32_t upper = utf8proc_toupper(build->into->letters[i].letter);
        const int32_t title = utf8proc_totitle(build->into->letters[i].letter);
        if (upper >= SCAN_END) ENX_TRY(offer_point(build, upper));
        if (title >= SCAN_END && title != upper) ENX_TRY(offer_point(build, title));
    }
    return ENX_OK;
}

/* Rising order of code points is rising order of their bytes. */
static size_t insert_option(option *options, size_t count, int32_t point, uint32_t letters)
{
    ENX_CHECK(count < OPTIONS_MAX);
    option new = { .point = point, .letters = letters };
    new.size = (uint8_t)utf8proc_encode_char(point, new.bytes);
    size_t at = count;
    for (; at > 0 && options[at - 1].point > point; at--) options[at] = options[at - 1];
    options[at] = new;
    return count + 1;
}

/* The node of the options in [0, count), which agree in their first `depth` bytes. */
static enx_status add_node(enx_spellings *into, const option *options, size_t count, size_t depth,
                           uint32_t *out)
{
    enx_spelling_node node = { .first_edge = into->edge_count };
    uint32_t          edge_count = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t byte = options[i].bytes[depth];
        if (i == 0 || byte != options[i - 1].bytes[depth]) edge_count++;
        node.bytes[byte >> 6] |= UINT64_C(1) << (byte & 63);
    }
    void *nodes = into->nodes, *edges = into->edges;
    ENX_TRY(grow(&nodes, &into->node_capacity, into->node_count + 1, sizeof *into->nodes));
    into->nodes = nodes;
    ENX_TRY(grow(&edges, &into->edge_capacity, into->edge_count + edge_count, sizeof *into->edges));
    into->edges = edges;
    *out = into->node_count++;
    into->nodes[*out] = node;
    into->edge_count += edge_count;
    uint32_t edge = node.first_edge;
    for (size_t i = 0, end; i < count; i = end, edge++) {
        for (end = i + 1; end < count && options[end].bytes[depth] == options[i].bytes[depth];)
            end++;
        enx_spelling_edge to = { .letters = options[i].letters };
        if (options[i].size > depth + 1)
            ENX_TRY(add_node(into, options + i, end - i, depth + 1, &to.node));
        into->edges[edge] = to;
    }
    return ENX_OK;
}

/* Both roots of one letter.  No letter has two partners: ss, ae, oe, th and their capitals. */
static enx_status add_letter(builder *build, uint32_t letter_index)
{
    enx_spelling_letter *letter = &build->into->letters[letter_index];
    option               options[OPTIONS_MAX];
    size_t               count = insert_option(options, 0, letter->letter, 1);
    for (uint32_t at = build->first[letter_index]; at; at = build->candidates[at].next) {
        const candidate *found = &build->candidates[at];
        ENX_CHECK(!found->second || !letter->partner || found->second == letter->partner);
        if (found->second) letter->partner = found->second;
        else count = insert_option(options, count, found->point, 1);
    }
    if (count > 1) ENX_TRY(add_node(build->into, options, count, 0, &letter->roots[0]));
    if (!letter->partner) return ENX_OK;
    for (uint32_t at = build->first[letter_index]; at; at = build->candidates[at].next)
        if (build->candidates[at].second)
            count = insert_option(options, count, build->candidates[at].point, 2);
    return add_node(build->into, options, count, 0, &letter->roots[1]);
}

enx_status enx_spellings_init(enx_spellings *spellings, const int32_t *text, size_t point_count,
                              unsigned kinds, enx_report *report)
{
    *spellings = (enx_spellings){ .node_count = 1 };
    builder    build = { .into = spellings, .kinds = kinds };
    enx_status status = collect_letters(spellings, text, point_count, kinds);
    if (status != ENX_OK) goto done;
    build.first = ENX_MEM_NEW(uint32_t, 2 * (size_t)spellings->letter_count + 1);
    if (!build.first) status = ENX_NOMEM;
    if (status != ENX_OK) goto done;
    build.last = build.first + spellings->letter_count;
    status = find_candidates(&build);
    for (uint32_t i = 0; status == ENX_OK && i < spellings->letter_count; i++)
        if (build.first[i]) status = add_letter(&build, i);

done:
    enx_mem_free(build.first);
    enx_mem_free(build.candidates);
    if (status == ENX_OK) return ENX_OK;
    enx_spellings_deinit(spellings);
    return enx_report_set(report, status, __FILE__, __LINE__, "spellings of the letters: %s",
                          enx_status_text(status));
}

void enx_spellings_deinit(enx_spellings *spellings)
{
    enx_mem_free(spellings->nodes);
    enx_mem_free(spellings->edges);
    enx_mem_free(spellings->letters);
    *spellings = (enx_spellings){ 0 };
}

uint32_t enx_spellings_root(const enx_spellings *spellings, int32_t letter, int32_t next)
{
    const uint32_t at = find_letter(spellings, letter);
    if (at == UINT32_MAX) return 0;
    const enx_spelling_letter *found = &spellings->letters[at];
    return found->roots[found->partner && found->partner == next];
}
