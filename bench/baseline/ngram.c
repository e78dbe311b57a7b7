/* SPDX-License-Identifier: Apache-2.0 */
/* ngram.c - what restoration reaches without a neural net: the two baselines to beat.
 *
 *   bigram   each word gets the form that was most frequent after the word before it (or at all);
 *            at level 3 the marks that were most frequent between it and the next word
 *   9gram    a character language model (order 9, Witten-Bell interpolation) picks among all
 *            restorations of the input with a lattice and a beam of 12
 *
 *   ngram TRAIN.txt HELDOUT.jsonl [rows per domain]  >  answers.jsonl
 *
 * TRAIN has one paragraph a line; HELDOUT has {"id","domain","text"} a line, the truth.  Each row
 * is damaged at levels 1..3 (as src/text/damage.h says) and restored; an answer line is
 * {"id","level","baseline","answer"}.  Memory: about 60 bytes for each byte of TRAIN.
 *
 * Standalone: cc -O2 ngram.c -ljansson -lutf8proc -lm
 */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { ORDER = 9, BEAM = 12, LEVELS = 3, RUNS_MAX = 24, RUN_CHARS_MAX = 4, EOS = '\n', BOS = 2 };
enum { LINE_BYTES_MAX = 1 << 16 };

/* ---- memory ------------------------------------------------------------------------------------
 */

static void *grab(void *old, size_t count, size_t size)
{
    void *p = count > SIZE_MAX / size ? NULL : realloc(old, count * size);
    if (p == NULL) {
        fprintf(stderr, "ngram: out of memory (%zu x %zu bytes)\n", count, size);
        exit(70);
    }
    return p;
}

static void *grab_zero(size_t count, size_t size)
{
    void *p = calloc(count, size);
    return p != NULL ? p : grab(NULL, SIZE_MAX, size);
}

/* ---- text: arrays of code points ---------------------------------------------------------------
 */

typedef struct {
    uint32_t *at;
    size_t    n, cap;
} text;

static void text_put(text *t, uint32_t c)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->at = grab(t->at, t->cap, sizeof *t->at);
    }
    t->at[t->n++] = c;
}

static void text_decode(text *t, const char *s)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s;
    utf8proc_ssize_t        left = (utf8proc_ssize_t)strlen(s), used;
    t->n = 0;
    for (; left > 0; p += used, left -= used) {
        utf8proc_int32_t c;
        used = utf8proc_iterate(p, left, &c);
        if (used <= 0) {
            used = 1;
            continue;
        }
        text_put(t, (uint32_t)c);
    }
}

/* The UTF-8 of n code points in a buffer that the next call overwrites. */
static const char *encoded(const uint32_t *c, size_t n)
{
    static utf8proc_uint8_t *out;
    static size_t            cap;
    if (cap < 4 * n + 1) out = grab(out, cap = 4 * n + 1, 1);
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t)utf8proc_encode_char((utf8proc_int32_t)c[i], out + used);
    out[used] = 0;
    return (const char *)out;
}

static int is_mark(uint32_t c) { return c != 0 && c < 128 && strchr(".,;:!?", (int)c) != NULL; }

static int is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) ||
           utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ZS;
}

static int is_letter(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

static uint32_t lower(uint32_t c) { return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c); }

static uint32_t upper(uint32_t c) { return (uint32_t)utf8proc_toupper((utf8proc_int32_t)c); }

/* ---- damage ------------------------------------------------------------------------------------
 */

/* What one character becomes at level 1 or 2: at most four code points. */
static size_t damage_char(uint32_t c, int level, uint32_t out[4])
{
    static const struct {
        uint32_t c;
        char     to[3];
    } bare[] = { { 0xDF, "ss" },  { 0xE6, "ae" },  { 0x153, "oe" }, { 0xF8, "o" },  { 0x142, "l" },
                 { 0x111, "d" },  { 0xF0, "d" },   { 0xFE, "th" },  { 0x131, "i" }, { 0xC6, "AE" },
                 { 0x152, "OE" }, { 0xD8, "O" },   { 0x141, "L" },  { 0x110, "D" }, { 0xD0, "D" },
                 { 0xDE, "TH" },  { 0x1E9E, "SS" } };
    utf8proc_int32_t parts[8];
    int class = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, parts, 8, UTF8PROC_DECOMPOSE, &class);
    size_t used = 0;
    for (utf8proc_ssize_t i = 0; i < n && used < 3; i++) {
        uint32_t p = (uint32_t)parts[i];
        if (p >= 0x300 && p <= 0x36F) continue;
        const char *to = NULL;
        for (size_t k = 0; k < sizeof bare / sizeof *bare && to == NULL; k++)
            if (bare[k].c == p) to = bare[k].to;
        if (to == NULL) out[used++] = p;
        for (; to != NULL && *to; to++) out[used++] = (uint32_t)*to;
    }
    for (size_t i = 0; level >= 2 && i < used; i++) out[i] = lower(out[i]);
    return used;
}

/* If a run of marks that damage removes begins at i (white space before it counts), where it ends,
 * and where its marks begin; else 0.  `seen`: something other than white space stands before i. */
static size_t run_end(const text *t, size_t i, int seen, size_t *marks)
{
    size_t j = i;
    while (j < t->n && is_space(t->at[j])) j++;
    size_t k = j;
    while (k < t->n && is_mark(t->at[k])) k++;
    *marks = j;
    return seen && k > j && (k == t->n || is_space(t->at[k])) ? k : 0;
}

static void damage(const text *in, int level, text *out)
{
    int seen = 0;
    out->n = 0;
    for (size_t i = 0; i < in->n;) {
        size_t   marks, end = level >= 3 ? run_end(in, i, seen, &marks) : 0;
        uint32_t c[4];
        if (end > 0) {
            i = end;
            continue;
        }
        do { /* a run that stays, stays whole */
            size_t n = damage_char(in->at[i], level, c);
            seen |= !is_space(in->at[i]);
            for (size_t k = 0; k < n; k++) text_put(out, c[k]);
            i++;
        } while (i < in->n && is_mark(in->at[i - 1]) && is_mark(in->at[i]));
    }
}

/* ---- the punctuation that training text has at word ends ---------------------------------------
 */

typedef struct {
    uint32_t c[RUN_CHARS_MAX]; /* possibly a space first */
    size_t   n, count;
} run;

typedef struct {
    run    at[512];
    size_t n, total;
} runs;

static size_t runs_add(runs *r, const uint32_t *c, size_t n)
{
    if (n > RUN_CHARS_MAX) return SIZE_MAX;
    r->total++;
    for (size_t i = 0; i < r->n; i++)
        if (r->at[i].n == n && memcmp(r->at[i].c, c, n * sizeof *c) == 0)
            return r->at[i].count++, i;
    if (r->n == sizeof r->at / sizeof *r->at) return SIZE_MAX;
    run *new = &r->at[r->n];
    memcpy(new->c, c, n * sizeof *c);
    new->n = n;
    new->count = 1;
    return r->n++;
}

static int run_order(const void *a, const void *b)
{
    const run *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : memcmp(x->c, y->c, sizeof x->c);
}

/* ---- 9gram: counts -----------------------------------------------------------------------------
 */

/* An open-addressing table of all n-grams, n = 1..ORDER.  A context's total is its own count as an
 * n-gram, because every n-gram that does not end a line is followed by something. */
typedef struct {
    uint32_t *tag, *count;
    uint16_t *distinct; /* kinds of characters seen after it */
    uint64_t  mask, used;
    uint64_t  total;
    uint32_t *alphabet;
    size_t    letters;
} grams;

/* The last 0..ORDER-1 characters of a text: hashes, and what is known of them as contexts. */
typedef struct {
    uint64_t hash[ORDER];
    uint32_t count[ORDER], distinct[ORDER];
    int      depth;
} history;

static uint64_t hash_step(uint64_t h, uint32_t c)
{
    return h * UINT64_C(0xD6E8FEB86659FD93) + c + 1;
}

static uint64_t hash_key(uint64_t h, int n)
{
    h ^= (uint64_t)n << 56;
    h ^= h >> 32;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 29;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return h ^ h >> 32;
}

/* The slot of an n-gram, or of the empty place where it would be. */
static uint64_t gram_slot(const grams *g, uint64_t key)
{
    uint32_t tag = (uint32_t)(key >> 32) | 1;
    uint64_t i = key & g->mask;
    while (g->count[i] != 0 && g->tag[i] != tag) i = (i + 1) & g->mask;
    return i;
}

static void grams_open(grams *g, size_t bytes)
{
    uint64_t slots = 1 << 16;
    while (slots < 3 * (uint64_t)bytes) slots *= 2;
    memset(g, 0, sizeof *g);
    g->mask = slots - 1;
    g->tag = grab_zero(slots, sizeof *g->tag);
    g->count = grab_zero(slots, sizeof *g->count);
    g->distinct = grab_zero(slots, sizeof *g->distinct);
    g->alphabet = grab_zero(65536, sizeof *g->alphabet);
}

/* Counts every n-gram of one line that ends in a character of it or in its end. */
static void grams_add(grams *g, const text *line)
{
    uint64_t hash[ORDER] = { 0 }, slot[ORDER] = { 0 };
    int      depth = 1;
    hash[1] = hash_step(0, BOS);
    slot[1] = gram_slot(g, hash_key(hash[1], 1));
    g->tag[slot[1]] = (uint32_t)(hash_key(hash[1], 1) >> 32) | 1;
    g->count[slot[1]]++;
    for (size_t i = 0; i <= line->n; i++) {
        uint32_t c = i < line->n ? line->at[i] : EOS;
        g->total++;
        for (int n = depth; n >= 0; n--) { /* long ones first: hash[n] is needed by n only */
            uint64_t h = hash_step(n > 0 ? hash[n] : 0, c), key = hash_key(h, n + 1);
            uint64_t s = gram_slot(g, key);
            if (g->count[s] == 0) {
                g->tag[s] = (uint32_t)(key >> 32) | 1;
                g->used++;
                if (n > 0) g->distinct[slot[n]]++;
                else if (g->letters < 65535) g->alphabet[g->letters++] = c;
            }
            g->count[s]++;
            if (n + 1 < ORDER) {
                hash[n + 1] = h;
                slot[n + 1] = s;
            }
        }
        depth = depth < ORDER - 1 ? depth + 1 : depth;
    }
}

static void history_start(const grams *g, history *h)
{
    memset(h, 0, sizeof *h);
    h->count[0] = (uint32_t)g->total;
    h->distinct[0] = (uint32_t)g->letters;
    h->hash[1] = hash_step(0, BOS);
    uint64_t s = gram_slot(g, hash_key(h->hash[1], 1));
    h->count[1] = g->count[s];
    h->distinct[1] = g->distinct[s];
    h->depth = 1;
}

/* log P(c | history), Witten-Bell from the shortest context up; `next` is the history with c. */
static double gram_step(const grams *g, const history *h, uint32_t c, history *next)
{
    double p = 1.0 / (double)(g->letters + 1);
    int    seen = 1;
    memset(next, 0, sizeof *next);
    next->count[0] = h->count[0];
    next->distinct[0] = h->distinct[0];
    next->depth = h->depth < ORDER - 1 ? h->depth + 1 : h->depth;
    for (int n = 0; n <= h->depth; n++) {
        uint64_t hash = hash_step(h->hash[n], c);
        uint32_t count = 0;
        if (n + 1 < ORDER) next->hash[n + 1] = hash;
        if (seen) {
            uint64_t s = gram_slot(g, hash_key(hash, n + 1));
            count = g->count[s];
            seen = count > 0;
            if (n + 1 < ORDER) {
                next->count[n + 1] = count;
                next->distinct[n + 1] = g->distinct[s];
            }
        }
        double total = h->count[n], kinds = h->distinct[n];
        if (total + kinds > 0) p = (count + kinds * p) / (total + kinds);
    }
    return log(p);
}

/* ---- 9gram: search -----------------------------------------------------------------------------
 */

/* c: a character of the alphabet that damage turns into from[0] (and from[1], if not 0) */
typedef struct {
    uint32_t from[2], c;
} origin;

typedef struct {
    const grams *g;
    const runs  *marks;
    size_t       marks_n;
    origin      *origins; /* sorted */
    size_t       origins_n;
} lattice;

typedef struct {
    int32_t  before;
    uint32_t c;
} node;

typedef struct {
    history h;
    double  score;
    int32_t last; /* node, -1 at the start */
    size_t  born;
} path;

typedef struct {
    path  *at;
    size_t n, cap;
} paths;

typedef struct {
    paths  ring[3];
    node  *nodes;
    size_t nodes_n, nodes_cap, born;
} search;

static int origin_order(const void *a, const void *b)
{
    const origin *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->from[i] != y->from[i]) return x->from[i] < y->from[i] ? -1 : 1;
    return x->c < y->c ? -1 : x->c > y->c;
}

static void lattice_open(lattice *l, const grams *g, const runs *marks, int level)
{
    l->g = g;
    l->marks = marks;
    l->marks_n = level >= 3 ? marks->n : 0;
    l->origins = grab(NULL, g->letters + 1, sizeof *l->origins);
    l->origins_n = 0;
    for (size_t i = 0; i < g->letters; i++) {
        uint32_t to[4];
        size_t   n = damage_char(g->alphabet[i], level, to);
        if (g->alphabet[i] == EOS || n == 0 || n > 2) continue;
        origin *o = &l->origins[l->origins_n++];
        o->from[0] = to[0];
        o->from[1] = n == 2 ? to[1] : 0;
        o->c = g->alphabet[i];
    }
    qsort(l->origins, l->origins_n, sizeof *l->origins, origin_order);
}

/* Index of the first origin of a pair; origins_n if there is none. */
static size_t origins_find(const lattice *l, uint32_t a, uint32_t b)
{
    size_t lo = 0, hi = l->origins_n;
    while (lo < hi) {
        size_t        mid = (lo + hi) / 2;
        const origin *o = &l->origins[mid];
        if (o->from[0] < a || (o->from[0] == a && o->from[1] < b)) lo = mid + 1;
        else hi = mid;
    }
    if (lo < l->origins_n && l->origins[lo].from[0] == a && l->origins[lo].from[1] == b) return lo;
    return l->origins_n;
}

static void paths_put(paths *p, const path *x)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->at = grab(p->at, p->cap, sizeof *p->at);
    }
    p->at[p->n++] = *x;
}

static void extend(search *s, const lattice *l, path *p, uint32_t c)
{
    history next;
    p->score += gram_step(l->g, &p->h, c, &next);
    p->h = next;
    if (s->nodes_n == s->nodes_cap) {
        s->nodes_cap = s->nodes_cap ? 2 * s->nodes_cap : 4096;
        s->nodes = grab(s->nodes, s->nodes_cap, sizeof *s->nodes);
    }
    s->nodes[s->nodes_n] = (node){ p->last, c };
    p->last = (int32_t)s->nodes_n++;
    p->born = s->born++;
}

static int path_order(const void *a, const void *b)
{
    const path *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->born < y->born ? -1 : x->born > y->born;
}

/* Keeps the best paths; of those that the model can't tell apart any more only the best one. */
static void prune(paths *p)
{
    size_t kept = 0;
    if (p->n > 1) qsort(p->at, p->n, sizeof *p->at, path_order);
    for (size_t i = 0; i < p->n && kept < BEAM; i++) {
        const history *h = &p->at[i].h;
        int            same = 0;
        for (size_t k = 0; k < kept && !same; k++)
            same = p->at[k].h.depth == h->depth && p->at[k].h.hash[h->depth] == h->hash[h->depth];
        if (!same) p->at[kept++] = p->at[i];
    }
    p->n = kept;
}

/* Whether marks may follow a path: there is a word, and no mark that would become part of the run.
 */
static int may_mark(const search *s, const path *p)
{
    return p->last >= 0 && !is_mark(s->nodes[p->last].c) && !is_space(s->nodes[p->last].c);
}

static void step(search *s, const lattice *l, const text *in, size_t i)
{
    paths *here = &s->ring[i % 3];
    prune(here);
    for (size_t k = 0; k < here->n; k++) {
        for (size_t w = 1; w <= 2 && i + w <= in->n; w++) {
            uint32_t a = in->at[i], b = w == 2 ? in->at[i + 1] : 0;
            int      self = w == 2; /* whether the character itself is among its origins */
            for (size_t o = origins_find(l, a, b); o < l->origins_n; o++) {
                if (l->origins[o].from[0] != a || l->origins[o].from[1] != b) break;
                path p = here->at[k];
                extend(s, l, &p, l->origins[o].c);
                paths_put(&s->ring[(i + w) % 3], &p);
                self |= l->origins[o].c == a;
            }
            if (!self) {
                path p = here->at[k];
                extend(s, l, &p, a);
                paths_put(&s->ring[(i + 1) % 3], &p);
            }
        }
        for (size_t r = 0; r < l->marks_n && in->at[i] == ' ' && may_mark(s, &here->at[k]); r++) {
            path p = here->at[k];
            for (size_t c = 0; c < l->marks->at[r].n; c++) extend(s, l, &p, l->marks->at[r].c[c]);
            extend(s, l, &p, ' ');
            paths_put(&s->ring[(i + 1) % 3], &p);
        }
    }
    here->n = 0;
}

static void restore_9gram(search *s, const lattice *l, const text *in, text *out)
{
    path best = { .score = -INFINITY, .last = -1 }, p = { .last = -1 };
    history_start(l->g, &p.h);
    s->nodes_n = s->born = 0;
    for (int i = 0; i < 3; i++) s->ring[i].n = 0;
    paths_put(&s->ring[0], &p);
    for (size_t i = 0; i < in->n; i++) step(s, l, in, i);
    paths *end = &s->ring[in->n % 3];
    prune(end);
    for (size_t k = 0; k < end->n; k++) {
        for (size_t r = 0; r <= l->marks_n; r++) { /* r == marks_n: no marks */
            history after;
            p = end->at[k];
            if (r < l->marks_n && !may_mark(s, &p)) continue;
            for (size_t c = 0; r < l->marks_n && c < l->marks->at[r].n; c++)
                extend(s, l, &p, l->marks->at[r].c[c]);
            p.score += gram_step(l->g, &p.h, EOS, &after);
            if (p.score > best.score) best = p;
        }
    }
    out->n = 0;
    for (int32_t i = best.last; i >= 0; i = s->nodes[i].before) text_put(out, s->nodes[i].c);
    for (size_t i = 0; i < out->n / 2; i++) {
        uint32_t c = out->at[i];
        out->at[i] = out->at[out->n - 1 - i];
        out->at[out->n - 1 - i] = c;
    }
}

/* ---- bigram lookup -----------------------------------------------------------------------------
 */

/* Strings by number. */
typedef struct {
    char    **at;
    uint32_t *slot; /* number + 1, 0 empty */
    size_t    n, cap, slots;
} names;

static uint64_t hash_bytes(const char *s)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (; *s; s++) h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001B3);
    return h ^ h >> 31;
}

/* The number of a string; UINT32_MAX if it is unknown and is not to be added. */
static uint32_t name_of(names *t, const char *s, int add)
{
    if (add && 2 * (t->n + 1) > t->slots) {
        t->slots = t->slots ? 2 * t->slots : 1 << 16;
        free(t->slot);
        t->slot = grab_zero(t->slots, sizeof *t->slot);
        for (size_t i = 0; i < t->n; i++) {
            uint64_t k = hash_bytes(t->at[i]) & (t->slots - 1);
            while (t->slot[k] != 0) k = (k + 1) & (t->slots - 1);
            t->slot[k] = (uint32_t)i + 1;
        }
    }
    uint64_t k = hash_bytes(s) & (t->slots - 1);
    for (; t->slot[k] != 0; k = (k + 1) & (t->slots - 1))
        if (strcmp(t->at[t->slot[k] - 1], s) == 0) return t->slot[k] - 1;
    if (!add) return UINT32_MAX;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4096;
        t->at = grab(t->at, t->cap, sizeof *t->at);
    }
    t->at[t->n] = grab(NULL, strlen(s) + 1, 1);
    memcpy(t->at[t->n], s, strlen(s) + 1);
    t->slot[k] = (uint32_t)t->n + 1;
    return (uint32_t)t->n++;
}

/* Counts of (kind, neighbour, word) -> value, and afterwards the most frequent value of each. */
enum { LOWER_FORM, CASED_FORM, MARKS_AFTER, KINDS };
enum { ANY = 0, START, END, NUMBER }; /* the first names */

typedef struct {
    uint32_t kind, near, word, value, count;
} choice;

typedef struct {
    choice *at;
    size_t  n, slots;
} choices;

typedef struct {
    names   words;
    choices all, best;
} lookup;

static choice *choice_slot(const choices *t, const choice *c, int any_value)
{
    uint64_t h =
        hash_step(hash_step(hash_step(c->kind, c->near), c->word), any_value ? 0 : c->value);
    size_t i = hash_key(h, 0) & (t->slots - 1);
    while (t->at[i].count != 0 &&
           (t->at[i].kind != c->kind || t->at[i].near != c->near || t->at[i].word != c->word ||
            (!any_value && t->at[i].value != c->value)))
        i = (i + 1) & (t->slots - 1);
    return &t->at[i];
}

static void choice_add(choices *t, choice c, int any_value)
{
    if (2 * (t->n + 1) > t->slots) {
        choices big = { .slots = t->slots ? 2 * t->slots : 1 << 16, .n = t->n };
        big.at = grab_zero(big.slots, sizeof *big.at);
        for (size_t i = 0; i < t->slots; i++)
            if (t->at[i].count != 0) *choice_slot(&big, &t->at[i], any_value) = t->at[i];
        free(t->at);
        *t = big;
    }
    choice *s = choice_slot(t, &c, any_value);
    t->n += s->count == 0;
    if (!any_value) {
        c.count = s->count + 1;
        *s = c;
    } else if (c.count > s->count || (c.count == s->count && c.value < s->value)) {
        *s = c;
    }
}

static void learn(lookup *k, uint32_t kind, uint32_t near, uint32_t word, uint32_t value)
{
    choice_add(&k->all, (choice){ kind, near, word, value, 0 }, 0);
    choice_add(&k->all, (choice){ kind, ANY, word, value, 0 }, 0);
}

/* The most frequent value for a word beside its neighbour, else for the word alone, else
 * UINT32_MAX.
 * `*alone`: it was the second. */
static uint32_t recall(const lookup *k, uint32_t kind, uint32_t near, uint32_t word, int *alone)
{
    for (*alone = 0; *alone < 2 && word != UINT32_MAX; ++*alone, near = ANY) {
        const choice  want = { kind, near, word, 0, 0 };
        const choice *c = choice_slot(&k->best, &want, 1);
        if (c->count != 0) return c->value;
    }
    return UINT32_MAX;
}

/* A run of letters [from, to), its damaged form's number, and whether a sentence starts with it. */
typedef struct {
    size_t   from, to;
    uint32_t word;
    int      starts;
} span;

static size_t spans_of(lookup *k, const text *t, int add, span *out, size_t max)
{
    size_t n = 0;
    int    starts = 1;
    for (size_t i = 0; i < t->n && n < max;) {
        if (!is_letter(t->at[i])) {
            if (t->at[i] == '.' || t->at[i] == '!' || t->at[i] == '?')
                starts = i + 1 < t->n && is_space(t->at[i + 1]);
            else if (t->at[i] >= '0' && t->at[i] <= '9') starts = 0;
            i++;
            continue;
        }
        static text bare;
        size_t      from = i;
        for (bare.n = 0; i < t->n && is_letter(t->at[i]); i++) {
            uint32_t to[4];
            size_t   m = damage_char(t->at[i], 2, to);
            for (size_t x = 0; x < m; x++) text_put(&bare, to[x]);
        }
        out[n++] = (span){ from, i, name_of(&k->words, encoded(bare.at, bare.n), add), starts };
        starts = 0;
    }
    return n;
}

enum { SPANS_MAX = 4096 };

static void lookup_open(lookup *k)
{
    static const char *const first[] = { "\001any", "\001start", "\001end", "\001number" };
    memset(k, 0, sizeof *k);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) name_of(&k->words, first[i], 1);
}

static void lookup_add(lookup *k, const text *t, runs *marks)
{
    static span s[SPANS_MAX];
    size_t      n = spans_of(k, t, 1, s, SPANS_MAX);
    uint32_t    before = START;
    for (size_t i = 0; i < n; i++) {
        static text small;
        small.n = 0;
        for (size_t c = s[i].from; c < s[i].to; c++) text_put(&small, lower(t->at[c]));
        uint32_t low = name_of(&k->words, encoded(small.at, small.n), 1);
        uint32_t as = name_of(&k->words, encoded(t->at + s[i].from, s[i].to - s[i].from), 1);
        learn(k, LOWER_FORM, before, s[i].word, low);
        learn(k, CASED_FORM, s[i].starts ? START : before, s[i].word, as);
        before = s[i].word;
    }
    size_t next = 0;
    for (size_t i = 1; i <= t->n;) { /* what stands after each word of the line */
        size_t from, end = run_end(t, i, 1, &from);
        int    last = i == t->n, boundary = last || is_space(t->at[i]) || end > 0;
        while (next < n && s[next].to <= i) next++;
        if (boundary && !is_mark(t->at[i - 1]) && !is_space(t->at[i - 1])) {
            uint32_t word = next > 0 && s[next - 1].to == i ? s[next - 1].word : NUMBER;
            uint32_t near = next < n ? s[next].word : END;
            size_t   c = end > 0 ? end - i : 0;
            if (c <= RUN_CHARS_MAX)
                learn(k, MARKS_AFTER, near, word, name_of(&k->words, encoded(t->at + i, c), 1));
            if (end > 0) runs_add(marks, t->at + i, c);
        }
        i = end > 0 ? end : i + 1;
    }
}

static void lookup_done(lookup *k)
{
    for (size_t i = 0; i < k->all.slots; i++)
        if (k->all.at[i].count != 0) choice_add(&k->best, k->all.at[i], 1);
    free(k->all.at);
    memset(&k->all, 0, sizeof k->all);
}

/* A form in the case of the input's letters; the input itself where the two do not fit. */
static void put_in_case(text *out, const uint32_t *in, size_t n, const char *form)
{
    static text f;
    size_t      at = 0, start = out->n;
    text_decode(&f, form);
    for (size_t i = 0; i < f.n; i++) {
        uint32_t to[4], c = f.at[i];
        size_t   m = damage_char(c, 1, to);
        if (at + m > n) {
            at = n + 1;
            break;
        }
        if (in[at] != lower(in[at])) {
            if (upper(c) == c) /* ß: no capital of one letter */
                c = 0;
            else c = upper(c);
        }
        for (size_t k = 0; c == 0 && k < m; k++) text_put(out, in[at + k]);
        if (c != 0) text_put(out, c);
        at += m;
    }
    if (at == n) return;
    out->n = start;
    for (size_t i = 0; i < n; i++) text_put(out, in[i]);
}

/* One word of the input in its most frequent form. */
static void put_word(lookup *k, const text *in, const span *w, int level, uint32_t before,
                     text *out)
{
    static text form;
    int         alone = 1, first = level >= 2 && w->starts;
    uint32_t    r =
        recall(k, level == 1 ? LOWER_FORM : CASED_FORM, first ? START : before, w->word, &alone);
    if (level == 1 && r != UINT32_MAX) {
        put_in_case(out, in->at + w->from, w->to - w->from, k->words.at[r]);
        return;
    }
    form.n = 0;
    if (r != UINT32_MAX) text_decode(&form, k->words.at[r]);
    else
        for (size_t c = w->from; c < w->to; c++) text_put(&form, in->at[c]);
    if (first && alone && form.n > 0) /* never seen at the start of a sentence */
        form.at[0] = upper(form.at[0]);
    for (size_t c = 0; c < form.n; c++) text_put(out, form.at[c]);
}

/* The marks after a word; returns whether they end a sentence. */
static int put_marks(lookup *k, uint32_t word, uint32_t next, text *out)
{
    static text marks;
    int         alone;
    uint32_t    r = recall(k, MARKS_AFTER, next, word, &alone);
    text_decode(&marks, r == UINT32_MAX ? "" : k->words.at[r]);
    for (size_t c = 0; c < marks.n; c++) text_put(out, marks.at[c]);
    return marks.n > 0 && strchr(".!?", (int)marks.at[marks.n - 1]) != NULL;
}

static void restore_bigram(lookup *k, const text *in, int level, text *out)
{
    static span s[SPANS_MAX];
    size_t      n = spans_of(k, in, 0, s, SPANS_MAX), next = 0;
    uint32_t    before = START;
    int         starts = 1;
    out->n = 0;
    for (size_t i = 0; i <= in->n;) {
        if (next < n && s[next].from == i) {
            if (level >= 3) s[next].starts = starts;
            put_word(k, in, &s[next], level, before, out);
            before = s[next].word;
            i = s[next++].to;
            starts = 0;
        } else if (i < in->n && !is_space(in->at[i])) {
            text_put(out, in->at[i++]);
        }
        if (i < in->n && !is_space(in->at[i])) continue;
        uint32_t last = out->n > 0 ? out->at[out->n - 1] : ' ';
        if (level >= 3 && !is_mark(last) && !is_space(last)) {
            uint32_t word = next > 0 && s[next - 1].to == i ? s[next - 1].word : NUMBER;
            starts |= put_marks(k, word, next < n ? s[next].word : END, out);
        }
        if (i < in->n) text_put(out, in->at[i]);
        i++;
    }
}

/* ---- the program -------------------------------------------------------------------------------
 */

static FILE *open_or_die(const char *name)
{
    FILE *f = fopen(name, "rb");
    if (f == NULL) {
        fprintf(stderr, "ngram: cannot open %s\n", name);
        exit(66);
    }
    return f;
}

static void train(const char *name, grams *g, lookup *k, runs *marks)
{
    static char line[LINE_BYTES_MAX];
    text        t = { 0 };
    FILE       *f = open_or_die(name);
    fseek(f, 0, SEEK_END);
    grams_open(g, (size_t)ftell(f));
    rewind(f);
    lookup_open(k);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        text_decode(&t, line);
        if (t.n == 0) continue;
        grams_add(g, &t);
        lookup_add(k, &t, marks);
    }
    fclose(f);
    free(t.at);
    lookup_done(k);
    qsort(marks->at, marks->n, sizeof *marks->at, run_order);
    while (marks->n > RUNS_MAX ||
           (marks->n > 0 && marks->at[marks->n - 1].count * 5000 < marks->total))
        marks->n--;
    fprintf(stderr, "%s: %llu characters, %llu n-grams, %zu letters, %zu runs of marks\n", name,
            (unsigned long long)g->total, (unsigned long long)g->used, g->letters, marks->n);
}

static void answer(const char *id, int level, const char *baseline, const text *out)
{
    json_t *o = json_pack("{ss si ss ss}", "id", id, "level", level, "baseline", baseline, "answer",
                          encoded(out->at, out->n));
    char   *s = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
    if (s == NULL) {
        fprintf(stderr, "ngram: %s: the answer is not text\n", id);
        exit(70);
    }
    puts(s);
    free(s);
    json_decref(o);
}

int main(int argc, char **argv)
{
    static grams   g;
    static lookup  k;
    static runs    marks;
    static search  s;
    static lattice l[LEVELS + 1];
    static char    line[LINE_BYTES_MAX], domain[32];
    text           truth = { 0 }, in = { 0 }, out = { 0 };
    if (argc < 3) {
        fprintf(stderr, "usage: ngram TRAIN.txt HELDOUT.jsonl [rows per domain] > answers.jsonl\n");
        return 64;
    }
    long limit = argc > 3 ? strtol(argv[3], NULL, 10) : 1000000, done = 0;
    train(argv[1], &g, &k, &marks);
    for (int level = 1; level <= LEVELS; level++) lattice_open(&l[level], &g, &marks, level);
    FILE *f = open_or_die(argv[2]);
    while (fgets(line, sizeof line, f) != NULL) {
        json_t     *row = json_loads(line, 0, NULL);
        const char *id, *dom, *words;
        if (row == NULL ||
            json_unpack(row, "{ss ss ss}", "id", &id, "domain", &dom, "text", &words) != 0) {
            fprintf(stderr, "ngram: %s: a line is not a row with id, domain and text\n", argv[2]);
            return 65;
        }
        if (strcmp(domain, dom) != 0) {
            snprintf(domain, sizeof domain, "%s", dom);
            done = 0;
        }
        for (int level = 1; level <= LEVELS && done < limit; level++) {
            text_decode(&truth, words);
            damage(&truth, level, &in);
            restore_bigram(&k, &in, level, &out);
            answer(id, level, "bigram", &out);
            restore_9gram(&s, &l[level], &in, &out);
            answer(id, level, "9gram", &out);
        }
        done++;
        json_decref(row);
    }
    fclose(f);
    return 0;
}
