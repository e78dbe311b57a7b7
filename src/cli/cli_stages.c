/* SPDX-License-Identifier: Apache-2.0 */
/* cli_stages.c - claims of stages as JSON and as lines. */
#include "cli/cli_stages.h"

#include "cli/cli_bill.h"

#include <string.h>

/* The stages' deltas are parts of the job's; stages that are not there yet have theirs kept. */
static double sum_of_deltas(const enx_swarm_stage_claim *claims, uint32_t count)
{
    double sum = 0;
    for (uint32_t k = 0; k < count; k++) sum += claims[k].has_claim ? claims[k].claim.delta : 0;
    return sum;
}

json_t *cli_stages_json(const enx_swarm *swarm)
{
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    const uint32_t        count = enx_swarm_stages(swarm, claims);
    const double          delta = sum_of_deltas(claims, count);
    if (delta == 0) return json_null();
    json_t *stages = json_array();
    for (uint32_t k = 0; k < count; k++) {
        const enx_swarm_stage_claim *c = &claims[k];
        json_array_append_new(
            stages,
            json_pack("{s:s, s:b, s:b, s:I, s:o, s:I, s:I, s:I}", "class", c->class_name, "last",
                      (int)c->is_last, "lead", (int)c->is_leads, "answers", (json_int_t)c->answers,
                      "claim", cli_certificate_json(c->has_claim, &c->claim), "wrong_most",
                      (json_int_t)c->wrong_most, "read", (json_int_t)c->read, "read_wrong_most",
                      (json_int_t)c->read_wrong_most));
    }
    return json_pack("{s:s, s:f, s:o}", "form", "stages", "delta", delta, "stages", stages);
}

static void print_stage(FILE *out, const enx_swarm_stage_claim *c)
{
    fprintf(out, "            %s: ", c->class_name);
    if (c->is_leads) fprintf(out, "%u answers of the lead", c->answers);
    else if (!c->has_claim) fprintf(out, "%u answers, not certified", c->answers);
    else if (!c->claim.is_certified)
        fprintf(out, "%u answers, nothing proved by %u labels, %u of them wrong", c->answers,
                c->claim.labels, c->claim.wrong);
    else
        fprintf(out, "of %u answers at most %.2f %% differ from the lead's (%u labels, %u wrong)",
                c->claim.answers, 100 * c->claim.alpha, c->claim.labels, c->claim.wrong);
    if (c->is_of_one)
        fprintf(out, "; at most %u of %u are wrong or made of a wrong one", c->wrong_most,
                c->answers);
    else if (c->read)
        fprintf(out, "; given %u answers, at most %u of them wrong or made of a wrong one", c->read,
                c->read_wrong_most);
    fputc('\n', out);
}

bool cli_stages_print(FILE *out, const enx_swarm *swarm)
{
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    const uint32_t        count = enx_swarm_stages(swarm, claims);
    const double          delta = sum_of_deltas(claims, count);
    if (delta == 0) return false;
    fprintf(out, "certificate stages, all of it at once with confidence %.1f %%\n",
            100 * (1 - delta));
    for (uint32_t k = 0; k < count; k++) print_stage(out, &claims[k]);
    return true;
}

typedef struct stored {
    FILE   *text; /* NULL: none is wanted */
    json_t *stages;
} stored;

static enx_status take_claim(void *user, const enx_record *r, enx_report *report)
{
    const stored *s = user;
    (void)report;
    if (r->kind != ENX_RECORD_CERTIFICATE || r->task_id == 0) return ENX_OK;
    json_t *name = cli_json_text(r->text, r->text_bytes);
    if (s->text) {
        fprintf(s->text, "stage       %s\n", json_string_value(name));
        cli_certificate_print(s->text, true, &r->certificate);
    }
    json_array_append_new(s->stages, json_pack("{s:o, s:o}", "class", name, "claim",
                                               cli_certificate_json(true, &r->certificate)));
    return ENX_OK;
}

enx_status cli_stages_stored(enx_store *store, uint64_t job_id, FILE *text, json_t **out,
                             enx_report *report)
{
    stored           s = { text, json_array() };
    const enx_status status = enx_store_replay(store, job_id, take_claim, &s, report);
    if (status == ENX_OK && json_array_size(s.stages) > 0)
        *out = json_pack("{s:s, s:O}", "form", "stages", "stages", s.stages);
    else *out = json_null();
    json_decref(s.stages);
    return status;
}
