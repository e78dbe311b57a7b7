/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_quantize.c - enxame quantize: a model's file again, with smaller matrices. */
#include "cli/cli.h"
#include "model/model_file.h"
#include "model/requant.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_SLACK_BYTES = 64 << 20 };

static enx_status parse_mix(enx_mix *out, const char *text, enx_report *report)
{
    static const char *const names[] = { [ENX_MIX_Q8_0] = "q8_0",
                                         [ENX_MIX_Q4_0] = "q4_0",
                                         [ENX_MIX_Q4_K_M] = "q4_k_m",
                                         [ENX_MIX_Q6_K] = "q6_k" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enx_mix)i;
            return ENX_OK;
        }
    return ENX_FAIL(report, INVALID, "\"%.40s\" is no type; use q8_0, q4_0, q4_k_m or q6_k", text);
}

static enx_status quantize(const cli_list *words, enx_requant_counts *counts, enx_report *report)
{
    enx_mix        mix = 0;
    enx_model_file file = { 0 };
    enx_buf        made;
    ENX_TRY(parse_mix(&mix, words->items[2], report));
    ENX_TRY(enx_model_file_open(&file, words->items[0], report));
    /* The largest result, Q8_0 of a Q8_0 file, is no larger than its source. */
    enx_buf_init(&made, file.size_bytes + HEADER_SLACK_BYTES);
    enx_status status = enx_model_requant(file.gguf, mix, &made, counts, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", words->items[0]);
    else status = enx_file_write(words->items[1], made.data, made.size_bytes, report);
    enx_buf_deinit(&made);
    enx_model_file_close(&file);
    return status;
}

int cmd_quantize(int argc, char **argv)
{
    const cli_spec     spec = { "quantize IN.gguf OUT.gguf TYPE",
                                "Write a model again with smaller matrices: q8_0, q4_0, q4_k_m or "
                                    "q6_k.",
                                "enxame quantize model.gguf small.gguf q4_k_m",
                                NULL,
                                0,
                                3,
                                3 };
    cli_args           args;
    enx_report         report = { 0 };
    enx_requant_counts c = { 0 };
    enx_status         status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = quantize(&args.operands, &c, &report);
    if (status != ENX_OK) return cli_fail("quantize", &args, status, &report);
    if (args.is_json)
        cli_print_json(json_pack("{s:i, s:i, s:I, s:I}", "matrices", (int)c.matrices, "fallbacks",
                                 (int)c.fallbacks, "bytes_before", (json_int_t)c.bytes_before,
                                 "bytes_after", (json_int_t)c.bytes_after));
    else
        printf("%u matrices, %.1f MiB of weights became %.1f MiB\n", c.matrices,
               (double)c.bytes_before / (1 << 20), (double)c.bytes_after / (1 << 20));
    if (c.fallbacks)
        fprintf(stderr,
                "enxame quantize: %u of %u matrices have rows that do not fit the type's blocks "
                "and got Q5_0, Q8_0 or F16 instead\n",
                c.fallbacks, c.matrices);
    return 0;
}
