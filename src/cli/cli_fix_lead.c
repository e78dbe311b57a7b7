/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fix_lead.c - the question, the audits, and the way up. */
#include "cli/cli_fix_lead.h"

#include "base/mem.h"
#include "cli/cli_code.h"
#include "repair/block.h"

#include <stdlib.h>
#include <string.h>

enum { QUESTION_BYTES_MAX = 1 << 16, ANSWER_TOKENS = 2048 };

/* Scores were fixed before any label: the certificate's ranks are places in this order. */
typedef struct ranking {
    cli_fix_file **items;
    uint32_t       count;
} ranking;

typedef struct lead_work {
    cli_asked         *asked;
    const enx_sandbox *sandbox;
    uint32_t           model;
} lead_work;

void cli_fix_file_deinit(cli_fix_file *file)
{
    enx_buf_deinit(&file->before);
    enx_buf_deinit(&file->leads);
    cli_fix_deinit(&file->fix);
}

/* ---- The question --------------------------------------------------------------------------- */

/* The block around the complaint, from whole lines. */
static enx_block find_block(const cli_fix_file *f)
{
    const char         *text = enx_buf_text(&f->before);
    const size_t        size = f->before.size_bytes;
    const enx_complaint c =
        enx_complaint_place(text, (uint32_t)size, f->fix.line, f->fix.column, "");
    if (size <= ENX_BLOCK_BYTES_MAX) return (enx_block){ 0, size };
    return enx_block_around(text, size, c.at < 0 ? 0 : (size_t)c.at);
}

static enx_status ask_about(const lead_work *w, const cli_fix_file *f, enx_block block,
                            enx_buf *answer, enx_report *report)
{
    const enx_class kind = {
        .name = "fix",
        .instruction = "The text is what a parser said of a piece of source, and behind an empty "
                       "line the piece. It does not parse: a mark or an indentation is lost, "
                       "doubled or wrong. Write the piece again with that repaired and nothing "
                       "else changed.",
        .advice = "Answer with the whole piece in one block, and nothing else.",
        .answer_tokens_max = ANSWER_TOKENS,
    };
    enx_buf question;
    enx_buf_init(&question, QUESTION_BYTES_MAX);
    enx_status status = ENX_OK;
    if (enx_buf_printf(&question, "%s: %s\n\n", cli_fix_language_name(f->code), f->fix.log) ||
        enx_buf_append(&question, f->before.data + block.from, block.to - block.from))
        status = ENX_FAIL(report, NOMEM, "no memory for a question");
    if (status == ENX_OK)
        status = cli_asked_ask(w->asked, w->model, &kind, enx_buf_text(&question),
                               question.size_bytes, answer, report);
    enx_buf_deinit(&question);
    return status;
}

/* The file with the answer in place of the block; it ends as the block did. */
static enx_status splice(enx_buf *out, const cli_fix_file *f, enx_block block, const char *answer)
{
    const char *before = enx_buf_text(&f->before);
    const bool  had_end = block.to > block.from && before[block.to - 1] == '\n';
    enx_buf     piece;
    enx_buf_init(&piece, QUESTION_BYTES_MAX);
    enx_status status = cli_code_extract(&piece, answer);
    size_t     size = piece.size_bytes;
    while (size > 0 && piece.data[size - 1] == '\n') size--;
    if (status == ENX_OK) status = enx_buf_append(out, before, block.from);
    if (status == ENX_OK) status = enx_buf_append(out, enx_buf_text(&piece), size);
    if (status == ENX_OK && had_end) status = enx_buf_append(out, "\n", 1);
    if (status == ENX_OK)
        status = enx_buf_append(out, before + block.to, f->before.size_bytes - block.to);
    enx_buf_deinit(&piece);
    return status;
}

static enx_status ask_and_judge(const lead_work *w, cli_fix_file *f, enx_report *report)
{
    const enx_parser_change none = { .insert = "" };
    const enx_block         block = find_block(f);
    enx_parser_verdict      verdict = { 0 };
    enx_buf                 answer;
    enx_buf_init(&answer, QUESTION_BYTES_MAX);
    enx_buf_init(&f->leads, ENX_PARSER_TEXT_BYTES_MAX);
    enx_status status = ask_about(w, f, block, &answer, report);
    if (status == ENX_OK && splice(&f->leads, f, block, enx_buf_text(&answer)) != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for the lead's text");
    if (status == ENX_OK)
        status = enx_parser_ask(&verdict, w->sandbox, cli_fix_language_name(f->code), f->leads.data,
                                f->leads.size_bytes, &none, 1, report);
    f->is_heard = status == ENX_OK && verdict.is_accepted;
    if (status == ENX_OK && !f->is_heard)
        snprintf(f->silence.text, sizeof f->silence.text, "what the lead wrote does not parse: %s",
                 verdict.words);
    enx_buf_deinit(&answer);
    return status;
}

/* Once a file.  ENX_BUDGET, ENX_CANCELED and ENX_NOMEM; any other failure is the file's own. */
static enx_status hear_lead(const lead_work *w, cli_fix_file *f, enx_report *report)
{
    if (f->is_asked) return ENX_OK;
    const enx_status status = ask_and_judge(w, f, report);
    f->is_asked = status != ENX_BUDGET;
    if (status == ENX_OK) return ENX_OK;
    f->silence = *report;
    return status == ENX_BUDGET || status == ENX_CANCELED || status == ENX_NOMEM ? status : ENX_OK;
}

static void take_leads(cli_fix_file *f)
{
    enx_buf_deinit(&f->fix.text);
    f->fix.text = f->leads;
    enx_buf_init(&f->leads, 0);
    f->is_good = f->is_leads = true;
}

/* ---- The certificate ------------------------------------------------------------------------ */

static bool is_same(const enx_buf *a, const enx_buf *b)
{
    return a->size_bytes == b->size_bytes &&
           memcmp(enx_buf_text(a), enx_buf_text(b), a->size_bytes) == 0;
}

static int by_chance(const void *a, const void *b)
{
    const cli_fix_file *x = *(cli_fix_file *const *)a, *y = *(cli_fix_file *const *)b;
    if (x->fix.chance != y->fix.chance) return x->fix.chance > y->fix.chance ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* The repairs of a language, best first; items are owned. */
static enx_status rank_repairs(ranking *out, cli_fix_file *files, size_t count, enx_code code,
                               enx_report *report)
{
    *out = (ranking){ .items = ENX_MEM_NEW(cli_fix_file *, count + 1) };
    if (!out->items) return ENX_FAIL(report, NOMEM, "no memory for a certificate");
    for (size_t i = 0; i < count; i++)
        if (files[i].code == code && files[i].is_good && files[i].fix.rounds > 0)
            out->items[out->count++] = &files[i];
    qsort(out->items, out->count, sizeof *out->items, by_chance);
    return ENX_OK;
}

/* Ask for labels until there is a claim; a budget that is spent ends it with what is proved. */
static enx_status collect_labels(enx_certificate *c, const ranking *r, const lead_work *w,
                                 enx_report *report)
{
    uint32_t ranks[ENX_CERTIFICATE_BLOCK_MAX], count;
    while ((count = enx_certificate_next(c, ranks, ENX_CERTIFICATE_BLOCK_MAX)) > 0)
        for (uint32_t i = 0; i < count; i++) {
            cli_fix_file    *f = r->items[ranks[i]];
            const enx_status status = hear_lead(w, f, report);
            if (status == ENX_BUDGET) {
                enx_certificate_stop(c);
                return ENX_OK;
            }
            if (status != ENX_OK) return status;
            enx_certificate_label(c, ranks[i], !f->is_heard || !is_same(&f->leads, &f->fix.text));
        }
    return ENX_OK;
}

/* Repairs that the claim does not cover are no longer good; audited ones are the lead's. */
static void settle_repairs(const ranking *r, const enx_certificate_claim *claim)
{
    const uint32_t covered = claim->is_certified ? claim->accepted : 0;
    for (uint32_t i = 0; i < r->count; i++) {
        cli_fix_file *f = r->items[i];
        if (f->is_heard && !is_same(&f->leads, &f->fix.text)) take_leads(f);
        else if (i >= covered && !f->is_heard) f->is_good = false;
    }
}

static enx_status certify(cli_fix_file *files, size_t count, enx_code code, const lead_work *w,
                          const cli_fix_target *target, bool *has_claim,
                          enx_certificate_claim *claim, enx_report *report)
{
    enx_certificate *c = NULL;
    ranking          r;
    ENX_TRY(rank_repairs(&r, files, count, code, report));
    enx_status status = ENX_OK;
    *has_claim = r.count > 0;
    if (*has_claim) {
        const enx_certificate_options options = { .population = r.count,
                                                  .target_alpha = 1 - target->accuracy,
                                                  .delta = 1 - target->confidence,
                                                  .labels_max = target->labels_max,
                                                  .block = 1, /* the lead is asked one by one */
                                                  .seed = target->seed };
        status = enx_certificate_open(&c, &options, report);
        if (status == ENX_OK) status = collect_labels(c, &r, w, report);
        if (status == ENX_OK) {
            *claim = enx_certificate_result(c);
            settle_repairs(&r, claim);
        }
        enx_certificate_close(&c);
    }
    enx_mem_free(r.items);
    return status;
}

/* ---- The way up ----------------------------------------------------------------------------- */

/* What is not good goes to the lead, as long as the budget lasts. */
static enx_status escalate(cli_fix_file *files, size_t count, enx_code code, const lead_work *w,
                           enx_report *report)
{
    for (size_t i = 0; i < count; i++) {
        cli_fix_file *f = &files[i];
        if (f->code != code || f->is_good) continue;
        const enx_status status = hear_lead(w, f, report);
        if (status == ENX_BUDGET) return ENX_OK;
        if (status != ENX_OK) return status;
        if (f->is_heard) take_leads(f);
    }
    return ENX_OK;
}

enx_status cli_fix_lead(cli_fix_file *files, size_t count, enx_code code, cli_asked *asked,
                        const enx_sandbox *sandbox, const cli_fix_target *target, bool *has_claim,
                        enx_certificate_claim *claim, enx_report *report)
{
    const lead_work w = { asked, sandbox, cli_asked_lead(asked) };
    *has_claim = false;
    if (w.model == CLI_ASKED_NOBODY) return ENX_OK;
    if (target->accuracy > 0)
        ENX_TRY(certify(files, count, code, &w, target, has_claim, claim, report));
    return escalate(files, count, code, &w, report);
}
