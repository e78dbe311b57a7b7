/* SPDX-License-Identifier: Apache-2.0 */
/* prefix.c - pages as nodes of a tree.
 *
 * (1) A page is in one of three states: free; held by `users` sequences; remembered, which is in
 *     the tree, held by nobody and on the list of those that may go.
 * (2) Who holds a page of the tree holds all above it.  So below a remembered page everything is
 *     remembered.
 * (3) Pages are let go from the leaf up, so a page is longer unused than the one above it: the
 *     longest unused is always a leaf.
 * (4) Whole pages of a prompt are in the tree from the start, empty; two sequences that come at the
 *     same time share them.  A page of the tree that is not full when its last holder lets go is
 *     free, as all below it: they hold nothing and nobody has them.
 * (5) A page that holds less than 16 tokens is a leaf; it is never held but copied.
 */
#include "engine/prefix.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

#define NONE ENX_PREFIX_NO_PAGE

typedef struct page {
    bool     is_free;
    uint32_t users;
    uint32_t filled;
    uint32_t token_count; /* 0: not in the tree */
    uint32_t above;
    uint32_t first_child;
    uint32_t previous, next; /* siblings, or neighbours among the free */
    uint32_t younger, older; /* remembered pages, by the time of their release */
    uint32_t tokens[ENX_KV_PAGE];
} page;

struct enx_prefix {
    page    *pages; /* owned, [page_count + 1]: the last is the root */
    uint32_t page_count;
    uint32_t first_free, free_count;
    uint32_t youngest, oldest, remembered_count;
    uint64_t evicted_count;
};

static uint32_t root_of(const enx_prefix *p) { return p->page_count; }

/* ---- the list of the remembered ---------------------------------------- */

static void remember(enx_prefix *p, uint32_t index)
{
    page *n = &p->pages[index];
    n->younger = NONE;
    n->older = p->youngest;
    if (p->youngest != NONE) p->pages[p->youngest].younger = index;
    else p->oldest = index;
    p->youngest = index;
    p->remembered_count++;
}

static void recall(enx_prefix *p, uint32_t index)
{
    const page *n = &p->pages[index];
    if (n->younger != NONE) p->pages[n->younger].older = n->older;
    else p->youngest = n->older;
    if (n->older != NONE) p->pages[n->older].younger = n->younger;
    else p->oldest = n->younger;
    p->remembered_count--;
}

/* ---- the tree ---------------------------------------------------------- */

static void link_page(enx_prefix *p, uint32_t index, uint32_t above, const uint32_t *tokens,
                      uint32_t token_count)
{
    page *n = &p->pages[index], *parent = &p->pages[above];
    n->above = above;
    n->first_child = NONE;
    n->token_count = token_count;
    memcpy(n->tokens, tokens, token_count * sizeof *tokens);
    n->previous = NONE;
    n->next = parent->first_child;
    if (n->next != NONE) p->pages[n->next].previous = index;
    parent->first_child = index;
}

static void unlink_page(enx_prefix *p, uint32_t index)
{
    page *n = &p->pages[index];
    ENX_CHECK(n->first_child == NONE); /* (3), (4) */
    if (n->previous != NONE) p->pages[n->previous].next = n->next;
    else p->pages[n->above].first_child = n->next;
    if (n->next != NONE) p->pages[n->next].previous = n->previous;
    n->token_count = 0;
}

static uint32_t common_count(const page *n, const uint32_t *tokens, uint32_t count)
{
    const uint32_t most = n->token_count < count ? n->token_count : count;
    uint32_t       same = 0;
    while (same < most && n->tokens[same] == tokens[same]) same++;
    return same;
}

/* The child whose page holds these tokens and no others. */
static uint32_t find_whole(const enx_prefix *p, uint32_t above, const uint32_t *tokens)
{
    uint32_t child = p->pages[above].first_child;
    while (child != NONE && common_count(&p->pages[child], tokens, ENX_KV_PAGE) < ENX_KV_PAGE)
        child = p->pages[child].next;
    return child;
}

/* The child that has most of the first `count` tokens computed; *same of them. */
static uint32_t find_piece(const enx_prefix *p, uint32_t above, const uint32_t *tokens,
                           uint32_t count, uint32_t *same)
{
    uint32_t best = NONE;
    *same = 0;
    for (uint32_t c = p->pages[above].first_child; c != NONE; c = p->pages[c].next) {
        uint32_t n = common_count(&p->pages[c], tokens, count);
        if (n > p->pages[c].filled) n = p->pages[c].filled;
        if (n <= *same) continue;
        best = c;
        *same = n;
    }
    return best;
}

/* ---- holding ----------------------------------------------------------- */

static void hold(enx_prefix *p, uint32_t index)
{
    if (p->pages[index].users++ == 0) recall(p, index);
}

static void free_page(enx_prefix *p, uint32_t index)
{
    page *n = &p->pages[index];
    n->is_free = true;
    n->previous = NONE;
    n->next = p->first_free;
    if (n->next != NONE) p->pages[n->next].previous = index;
    p->first_free = index;
    p->free_count++;
}

/* One holder less.  From the leaf up: (3). */
static void let_go(enx_prefix *p, uint32_t index)
{
    page *n = &p->pages[index];
    if (--n->users > 0) return;
    if (n->token_count > 0 && n->filled >= n->token_count) {
        remember(p, index);
        return;
    }
    if (n->token_count > 0) unlink_page(p, index);
    free_page(p, index);
}

/* Forget until `count` pages are free; the caller knows that there are so many. */
static void forget(enx_prefix *p, uint32_t count)
{
    while (p->free_count < count) {
        const uint32_t oldest = p->oldest;
        ENX_CHECK(oldest != NONE);
        recall(p, oldest);
        unlink_page(p, oldest);
        free_page(p, oldest);
        p->evicted_count++;
    }
}

/* A free page for one holder: the one that lies behind `before`, if it is free, as pages that lie
 * together are read faster. */
static uint32_t take_page(enx_prefix *p, uint32_t before)
{
    const bool     is_next = before < p->page_count - 1 && p->pages[before + 1].is_free;
    const uint32_t index = is_next ? before + 1 : p->first_free;
    page          *n = &p->pages[index];
    if (n->previous != NONE) p->pages[n->previous].next = n->next;
    else p->first_free = n->next;
    if (n->next != NONE) p->pages[n->next].previous = n->previous;
    p->free_count--;
    n->is_free = false;
    n->users = 1;
    n->filled = 0;
    n->token_count = 0;
    return index;
}

/* ---- sequences --------------------------------------------------------- */

/* Hold the whole pages of the prompt that are in the tree; returns the last of them. */
static uint32_t hold_known(enx_prefix *p, const uint32_t *prompt, uint32_t whole, enx_chain *chain)
{
    uint32_t at = root_of(p);
    while (chain->tree_count < whole) {
        const uint32_t next = find_whole(p, at, prompt + chain->tree_count * ENX_KV_PAGE);
        if (next == NONE) break;
        hold(p, next);
        chain->pages[chain->tree_count++] = at = next;
    }
    return at;
}

/* Something to copy: the beginning of the first page that is not known, but for the last token of
 * the prompt, which somebody has to compute.  It is held until the pages are taken. */
static void find_copy(enx_prefix *p, const uint32_t *prompt, uint32_t prompt_count, uint32_t above,
                      enx_chain *chain)
{
    const uint32_t first = chain->tree_count * ENX_KV_PAGE, left = prompt_count - first;
    uint32_t       same = 0;
    if (left < 2) return;
    const uint32_t most = left - 1 < ENX_KV_PAGE ? left - 1 : ENX_KV_PAGE;
    const uint32_t found = find_piece(p, above, prompt + first, most, &same);
    if (found == NONE) return;
    chain->copy_from = found;
    chain->copy_index = chain->tree_count;
    chain->known_count = first + same;
    hold(p, found);
}

bool enx_prefix_take(enx_prefix *p, const uint32_t *prompt, uint32_t prompt_count, uint32_t most,
                     enx_chain *chain)
{
    ENX_CHECK(prompt_count >= 1 && most >= prompt_count);
    const uint32_t whole = prompt_count / ENX_KV_PAGE;
    chain->page_count = (most + ENX_KV_PAGE - 1) / ENX_KV_PAGE;
    chain->tree_count = chain->known_count = 0;
    chain->copy_from = NONE;
    uint32_t       at = hold_known(p, prompt, whole, chain);
    const uint32_t missing = chain->page_count - chain->tree_count;
    if (missing > enx_prefix_available(p)) {
        while (chain->tree_count > 0) let_go(p, chain->pages[--chain->tree_count]);
        return false;
    }
    find_copy(p, prompt, prompt_count, at, chain);
    const uint32_t copied = chain->copy_from;
    if (copied != NONE && missing > enx_prefix_available(p)) {
        let_go(p, copied);
        chain->copy_from = NONE;
        chain->known_count = 0;
    }
    forget(p, missing);
    for (uint32_t i = chain->tree_count; i < chain->page_count; i++) {
        const uint32_t new = chain->pages[i] = take_page(p, i > 0 ? chain->pages[i - 1] : NONE);
        if (i >= whole) continue;
        link_page(p, new, at, prompt + i * ENX_KV_PAGE, ENX_KV_PAGE); /* (4) */
        chain->tree_count = i + 1;
        at = new;
    }
    if (chain->copy_from == NONE) return true;
    p->pages[chain->pages[chain->copy_index]].filled =
        chain->known_count - chain->copy_index * ENX_KV_PAGE;
    let_go(p, chain->copy_from);
    return true;
}

uint32_t enx_prefix_filled(const enx_prefix *p, uint32_t index)
{
    ENX_CHECK(index < p->page_count);
    return p->pages[index].filled;
}

void enx_prefix_set_filled(enx_prefix *p, uint32_t index, uint32_t count)
{
    ENX_CHECK(index < p->page_count && count <= ENX_KV_PAGE);
    p->pages[index].filled = count;
}

/* Put page i of the chain, which is computed for `count` tokens, into the tree; where the tree has
 * these already, hold that page instead.  Returns the page that is in the tree now. */
static uint32_t plant(enx_prefix *p, enx_chain *chain, uint32_t i, uint32_t above,
                      const uint32_t *tokens, uint32_t count)
{
    const uint32_t mine = chain->pages[i];
    const uint32_t known = count == ENX_KV_PAGE ? find_whole(p, above, tokens) : NONE;
    p->pages[mine].filled = count;
    if (known == NONE) {
        link_page(p, mine, above, tokens, count);
        return mine;
    }
    hold(p, known);
    let_go(p, mine);
    chain->pages[i] = known;
    return known;
}

/* Remember what came behind the whole pages of the prompt. */
static void plant_outputs(enx_prefix *p, enx_chain *chain, const uint32_t *tokens,
                          uint32_t evaluated)
{
    uint32_t at = root_of(p), same;
    for (uint32_t i = 0; i < chain->page_count && i * ENX_KV_PAGE < evaluated; i++) {
        const uint32_t left = evaluated - i * ENX_KV_PAGE;
        const uint32_t count = left < ENX_KV_PAGE ? left : ENX_KV_PAGE;
        if (i < chain->tree_count) {
            at = chain->pages[i];
        } else {
            if (count < ENX_KV_PAGE) find_piece(p, at, tokens + i * ENX_KV_PAGE, count, &same);
            if (count < ENX_KV_PAGE && same == count) return;
            at = plant(p, chain, i, at, tokens + i * ENX_KV_PAGE, count);
        }
        if (p->pages[at].filled < ENX_KV_PAGE) return;
    }
}

void enx_prefix_release(enx_prefix *p, enx_chain *chain, const uint32_t *tokens, uint32_t evaluated)
{
    plant_outputs(p, chain, tokens, evaluated);
    for (uint32_t i = chain->page_count; i > 0; i--) let_go(p, chain->pages[i - 1]);
    chain->page_count = chain->tree_count = 0;
}

uint32_t enx_prefix_available(const enx_prefix *p) { return p->free_count + p->remembered_count; }

uint32_t enx_prefix_remembered(const enx_prefix *p) { return p->remembered_count; }

uint64_t enx_prefix_evicted(const enx_prefix *p) { return p->evicted_count; }

/* ---- opening ----------------------------------------------------------- */

enx_status enx_prefix_open(enx_prefix **out, uint32_t page_count, enx_report *report)
{
    if (page_count < 1 || page_count > ENX_PREFIX_PAGES_MAX)
        return ENX_FAIL(report, LIMIT, "%u pages were asked for, 1 to %d are possible", page_count,
                        ENX_PREFIX_PAGES_MAX);
    enx_prefix *p = ENX_MEM_NEW(enx_prefix, 1);
    page       *pages = ENX_MEM_NEW(page, (size_t)page_count + 1);
    if (!p || !pages) {
        enx_mem_free(p);
        enx_mem_free(pages);
        return ENX_FAIL(report, NOMEM, "no memory for a tree of %u pages", page_count);
    }
    *p = (enx_prefix){ .pages = pages,
                       .page_count = page_count,
                       .first_free = NONE,
                       .youngest = NONE,
                       .oldest = NONE };
    pages[page_count].first_child = NONE;
    for (uint32_t i = page_count; i > 0; i--) free_page(p, i - 1);
    *out = p;
    return ENX_OK;
}

void enx_prefix_close(enx_prefix **prefix)
{
    if (!*prefix) return;
    enx_mem_free((*prefix)->pages);
    enx_mem_free(*prefix);
    *prefix = NULL;
}

uint64_t enx_prefix_memory_bytes(const enx_prefix *p)
{
    return sizeof *p + ((uint64_t)p->page_count + 1) * sizeof *p->pages;
}
