/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c - what opening a model promises, and that the fast pass is the slow one. */
#include "base/mem.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/weights.h"
#include "slow_forward.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void open_or_fail(tiny_model *m, const tiny_options *options)
{
    enx_report report = { 0 };
    if (tiny_open(m, options, &report) != ENX_OK) fail_msg("%s", report.text);
}

static enx_forward *open_forward(enx_forward_options options)
{
    enx_report   report = { 0 };
    enx_forward *f = NULL;
    if (options.slot_count == 0) options.slot_count = 4;
    if (options.batch_tokens == 0) options.batch_tokens = 64;
    options.context_tokens = 64;
    if (enx_forward_open(&f, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    return f;
}

static enx_forward *forward_or_fail(const enx_model *model, enx_pool *pool, unsigned cpu_flags)
{
    return open_forward(
        (enx_forward_options){ .model = model, .cpu_flags = cpu_flags, .pool = pool });
}

/* ---- opening ----------------------------------------------------------- */

static void sizes_are_read_and_counted(void **state)
{
    (void)state;
    tiny_model m;
    open_or_fail(&m, &tiny_default);
    const enx_hparams *h = enx_model_hparams(m.model);
    assert_string_equal(h->arch->name, "qwen3");
    assert_int_equal(h->vocab_count, 101);
    assert_int_equal(h->width, 64);
    assert_int_equal(h->layer_count, 2);
    assert_int_equal(h->head_count, 3);
    assert_int_equal(h->kv_head_count, 1);
    assert_int_equal(h->head_width, 32);
    assert_int_equal(h->ffn_width, 96);
    assert_int_equal(h->context_tokens, 64);
    assert_true(h->is_head_tied);
    const uint64_t matrices = 64 * (96 + 32 + 32 + 96 + 3 * 96);
    const uint64_t gains = 64 + 64 + 32 + 32;
    assert_int_equal(enx_model_param_count(m.model), 101 * 64 + 2 * (matrices + gains) + 64);
    assert_int_equal(enx_model_weight_bytes(m.model),
                     (101 * 64 + 2 * matrices) / 32 * 34 + (2 * gains + 64) * 4);
    tiny_close(&m);
}

static void an_untied_head_is_counted(void **state)
{
    (void)state;
    tiny_options o = tiny_default;
    tiny_model   tied, untied;
    open_or_fail(&tied, &o);
    o.is_head_untied = true;
    open_or_fail(&untied, &o);
    assert_false(enx_model_hparams(untied.model)->is_head_tied);
    assert_int_equal(enx_model_param_count(untied.model),
                     enx_model_param_count(tied.model) + 101 * 64);
    tiny_close(&tied);
    tiny_close(&untied);
}

static void assert_refused(const tiny_options *o, enx_status status, const char *part)
{
    tiny_model       m;
    enx_report       report = { 0 };
    const enx_status got = tiny_open(&m, o, &report);
    if (got != status || !strstr(report.text, part))
        fail_msg("got %s: %s; want %s: %s", enx_status_text(got), report.text,
                 enx_status_text(status), part);
    assert_null(m.model);
    tiny_close(&m);
}

static void bad_models_are_refused_with_a_reason(void **state)
{
    (void)state;
    tiny_options o = tiny_default;
    o.arch = "mamba";
    assert_refused(&o, ENX_UNSUPPORTED,
                   "'mamba'; gemma2, gemma3, gpt-oss, llama, phi3, qwen2, qwen3, qwen3moe and "
                   "smollm3 work");
    o = tiny_default;
    o.without = "blk.1.ffn_up.weight";
    assert_refused(&o, ENX_NOTFOUND, "blk.1.ffn_up.weight");
    o.without = "token_embd.weight";
    assert_refused(&o, ENX_NOTFOUND, "token_embd.weight");
    o = tiny_default;
    o.misshape = "blk.0.attn_k.weight";
    assert_refused(&o, ENX_FORMAT,
                   "'blk.0.attn_k.weight' is 64 x 33 x 1, the model's sizes demand 64 x 32 x 1");
    o.misshape = "blk.0.attn_k_norm.weight";
    assert_refused(&o, ENX_FORMAT, "blk.0.attn_k_norm.weight");
    o = tiny_default;
    o.extra = "blk.0.attn_q.bias";
    assert_refused(&o, ENX_UNSUPPORTED, "blk.0.attn_q.bias");
    o.extra = "blk.2.attn_norm.weight";
    assert_refused(&o, ENX_UNSUPPORTED, "blk.2.attn_norm.weight");
    o = tiny_default;
    o.arch = "llama";
    o.extra = "blk.0.attn_q_norm.weight";
    assert_refused(&o, ENX_UNSUPPORTED, "blk.0.attn_q_norm.weight");
    o.arch = "qwen2";
    assert_refused(&o, ENX_UNSUPPORTED, "blk.0.attn_q_norm.weight");
    o.extra = NULL;
    o.without = "blk.1.attn_v.bias";
    assert_refused(&o, ENX_NOTFOUND, "blk.1.attn_v.bias");
    o.without = NULL;
    o.misshape = "blk.1.attn_v.bias";
    assert_refused(&o, ENX_FORMAT, "blk.1.attn_v.bias");
    o = tiny_default;
    o.key = "qwen3.rope.scaling.type";
    o.text = "longrope";
    assert_refused(&o, ENX_UNSUPPORTED, "'longrope'; none, linear and yarn work");
    o.text = "yarn";
    assert_refused(&o, ENX_NOTFOUND, "qwen3.rope.scaling.factor");
    o.key = "qwen3.rope.dimension_count";
    o.text = NULL;
    o.key_value = 34;
    assert_refused(&o, ENX_UNSUPPORTED, "their rotation 34; values must be as wide as heads");
    o.key_value = 15;
    assert_refused(&o, ENX_FORMAT, "rotation needs even numbers");
}

static void hostile_sizes_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "qwen3.context_length",      "qwen3.embedding_length",     "qwen3.block_count",
        "qwen3.feed_forward_length", "qwen3.attention.head_count", "qwen3.attention.head_count_kv",
        "qwen3.attention.key_length"
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        tiny_options o = tiny_default;
        o.key = keys[i];
        o.key_value = UINT32_MAX;
        assert_refused(&o, ENX_LIMIT, keys[i]);
        o.key_value = 0;
        assert_refused(&o, ENX_FORMAT, "is 0");
    }
    tiny_options o = tiny_default;
    o.key = "qwen3.attention.head_count_kv";
    o.key_value = 2;
    assert_refused(&o, ENX_FORMAT, "3 heads cannot share 2 key heads evenly");
    o.key = "qwen3.attention.key_length";
    o.key_value = 31;
    assert_refused(&o, ENX_UNSUPPORTED, "31 wide");
    o.key = "qwen3.embedding_length";
    o.key_value = 128;
    assert_refused(&o, ENX_FORMAT, "token_embd.weight");
}

static void running_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    tiny_model m;
    open_or_fail(&m, &tiny_default);
    for (long n = 0;; n++) {
        enx_model *model = NULL;
        enx_report report = { 0 };
        enx_mem_fail_after(n);
        const enx_status status = enx_model_open(&model, m.gguf, &report);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) {
            assert_true(n >= 3);
            enx_model_close(&model);
            break;
        }
        assert_int_equal(status, ENX_NOMEM);
        assert_null(model);
    }
    for (long n = 0; n < 2; n++) {
        enx_forward              *f = NULL;
        enx_report                report = { 0 };
        const enx_forward_options o = {
            .model = m.model, .slot_count = 1, .context_tokens = 8, .batch_tokens = 8
        };
        enx_mem_fail_after(n);
        assert_int_equal(enx_forward_open(&f, &o, &report), ENX_NOMEM);
        enx_mem_fail_after(-1);
        assert_null(f);
    }
    tiny_close(&m);
}

static void forward_options_have_limits(void **state)
{
    (void)state;
    tiny_model m;
    open_or_fail(&m, &tiny_default);
    const enx_forward_options bad[] = {
        { .slot_count = 0, .context_tokens = 8, .batch_tokens = 8 },
        { .slot_count = ENX_FORWARD_SLOTS_MAX + 1, .context_tokens = 8, .batch_tokens = 8 },
        { .slot_count = 1, .context_tokens = 0, .batch_tokens = 8 },
        { .slot_count = 1, .context_tokens = ENX_MODEL_CONTEXT_MAX + 1, .batch_tokens = 8 },
        { .slot_count = 1, .context_tokens = 8, .batch_tokens = 0 },
        { .slot_count = 1, .context_tokens = 8, .batch_tokens = ENX_FORWARD_BATCH_MAX + 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enx_forward        *f = NULL;
        enx_report          report = { 0 };
        enx_forward_options o = bad[i];
        o.model = m.model;
        assert_int_equal(enx_forward_open(&f, &o, &report), ENX_LIMIT);
    }
    tiny_close(&m);
}

/* ---- the pass ---------------------------------------------------------- */

enum { TOKENS = 40 };

static uint32_t token_at(uint32_t i) { return (i * 37 + 11) % 101; }

/* Logits after each token of one sequence, one batch for each `chunk` tokens. */
static void run_sequence(enx_forward *f, uint32_t slot, uint32_t chunk, float *logits)
{
    for (uint32_t start = 0; start < TOKENS; start += chunk) {
        enx_row        rows[TOKENS];
        const uint32_t n = chunk < TOKENS - start ? chunk : TOKENS - start;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = (enx_row){ .token = token_at(start + i),
                                 .slot = slot,
                                 .position = start + i,
                                 .wants_hidden = true };
        assert_int_equal(enx_forward_run(f, rows, n), n);
        for (uint32_t i = 0; i < n; i++) enx_forward_logits(f, &i, 1, logits + (start + i) * 101);
    }
}

/* Every value within `tolerance` of the spread of all logits; exact: where nothing rounds to f16.
 */
static void assert_cache_like(const tiny_options *o, unsigned cpu_flags, double tolerance,
                              bool is_exact, enx_kv_type cache)
{
    static float  got[TOKENS * 101];
    static double want[101];
    tiny_model    m;
    slow_forward  slow;
    double        worst = 0, squares = 0;
    open_or_fail(&m, o);
    enx_forward *f = open_forward(
        (enx_forward_options){ .model = m.model, .cpu_flags = cpu_flags, .cache = cache });
    run_sequence(f, 1, 7, got);
    slow_open(&slow, m.gguf, enx_model_hparams(m.model));
    slow.is_exact = is_exact;
    for (uint32_t i = 0; i < TOKENS; i++) {
        slow_step(&slow, token_at(i), want);
        for (uint32_t t = 0; t < 101; t++) {
            worst = fmax(worst, fabs((double)got[i * 101 + t] - want[t]));
            squares += want[t] * want[t];
        }
    }
    const double spread = sqrt(squares / (TOKENS * 101));
    if (!(worst <= tolerance * spread))
        fail_msg("arch %s type %d level %u: off by %g of %g", o->arch ? o->arch : "qwen3",
                 (int)o->type, cpu_flags, worst, spread);
    slow_close(&slow);
    enx_forward_close(&f);
    tiny_close(&m);
}

static void assert_like(const tiny_options *o, unsigned cpu_flags, double tolerance, bool is_exact)
{
    assert_cache_like(o, cpu_flags, tolerance, is_exact, is_exact ? ENX_KV_F32 : ENX_KV_F16);
}

static void assert_like_slow(const tiny_options *o, unsigned cpu_flags, double tolerance)
{
    assert_like(o, cpu_flags, tolerance, false);
}

static const char *const levels[] = { "scalar", "avx2", NULL };

/* f32 rounds at 2^-24 and a key now and then falls to the other side of an f16 step; with int8
 * activations the step is 1/127 of a block's largest, and one that goes the other way was seen to
 * move a logit by 0.052. */
static void fast_equals_slow_for_every_type_and_architecture(void **state)
{
    (void)state;
    static const enx_tensor_type types[] = { ENX_TENSOR_F32, ENX_TENSOR_F16, ENX_TENSOR_BF16,
                                             ENX_TENSOR_Q8_0 };
    for (size_t level = 0; level < 3; level++)
        for (size_t type = 0; type < 4; type++)
            for (int variant = 0; variant < 12; variant++) {
                static const char *const archs[] = { "qwen3", "llama",  "qwen2",
                                                     "phi3",  "gemma2", "gemma3" };
                tiny_options             o = tiny_default;
                o.type = types[type];
                o.arch = archs[variant % 6];
                o.is_head_untied = variant >= 6;
                o.kv_heads = variant >= 6 ? 3 : 1;
                o.has_rope_factors = variant == 7;
                assert_like_slow(&o, enx_cpu_detect(levels[level]),
                                 o.type == ENX_TENSOR_Q8_0 ? 0.06 : 0.002);
            }
}

/* Windows whose first key is on, before and behind the edge of a block of keys; factors for the
 * context of training (64 is not above it) and beyond it. */
static void windows_and_two_ranges_equal_the_slow_ones(void **state)
{
    (void)state;
    static const uint32_t windows[] = { 1, 15, 16, 17, 39, 40, 64 };
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        tiny_options o = tiny_default;
        o.type = ENX_TENSOR_F32;
        o.arch = "phi3";
        o.window = windows[i];
        o.has_rope_factors = true;
        o.key = "phi3.rope.scaling.original_context_length";
        o.key_value = i & 1 ? 64 : 63;
        assert_like_slow(&o, enx_cpu_detect(NULL), 0.002);
    }
    tiny_options o = tiny_default;
    o.arch = "phi3";
    o.key = "phi3.attention.sliding_window";
    o.key_value = UINT32_MAX;
    assert_refused(&o, ENX_LIMIT, o.key);
    o.key = NULL;
    o.has_rope_factors = true;
    o.without = "rope_factors_short.weight";
    assert_refused(&o, ENX_NOTFOUND, "rope_factors_short.weight");
    o.without = "rope_factors_long.weight";
    o.extra = "blk.0.attn_q.weight";
    assert_refused(&o, ENX_UNSUPPORTED, "blk.0.attn_q.weight");
}

/* Seven layers, so that both kinds alternate. */
static void alternating_windows_equal_the_slow_ones(void **state)
{
    (void)state;
    static const char *const archs[] = { "gemma2", "gemma3" };
    for (int variant = 0; variant < 4; variant++) {
        tiny_options o = tiny_default;
        o.type = ENX_TENSOR_F32;
        o.arch = archs[variant & 1];
        o.layers = 7;
        o.window = 11;
        o.rope_scaling = variant & 2 ? "linear" : NULL;
        assert_like_slow(&o, enx_cpu_detect(NULL), 0.002);
    }
    tiny_options o = tiny_default;
    o.arch = "gemma2";
    o.without = "blk.1.post_ffw_norm.weight";
    assert_refused(&o, ENX_NOTFOUND, o.without);
    o.without = NULL;
    o.key = "gemma2.attention.sliding_window";
    assert_refused(&o, ENX_FORMAT, o.key);
}

static void stretched_rotation_equals_the_slow_one(void **state)
{
    (void)state;
    static const char *const scalings[] = { "linear", "yarn" }, *archs[] = { "llama", "qwen2" };
    for (int variant = 0; variant < 4; variant++) {
        tiny_options o = tiny_default;
        o.type = ENX_TENSOR_F32;
        o.arch = archs[variant & 1];
        o.rope_scaling = scalings[variant / 2];
        assert_like_slow(&o, enx_cpu_detect(NULL), 0.002);
    }
}

static void with_a_wide_cache_only_floats_round(void **state)
{
    (void)state;
    static const char *const archs[] = { "qwen3",  "llama",    "qwen2",   "phi3",   "gemma2",
                                         "gemma3", "qwen3moe", "gpt-oss", "smollm3" };
    for (size_t i = 0; i < 3 * sizeof archs / sizeof *archs; i++) {
        tiny_options o = tiny_default;
        o.arch = archs[i / 3];
        o.type = ENX_TENSOR_F32;
        o.is_calm = true;
        o.window = 11;
        o.experts = i / 3 == 6 || i / 3 == 7 ? 5 : 0;
        o.experts_used = 2;
        assert_like(&o, enx_cpu_detect(levels[i % 3]), 3e-5, true);
    }
}

/* A step is 1 / 127 of the largest number of a head. */
static void keys_and_values_in_bytes_stay_near(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++)
        for (uint32_t window = 0; window < 12; window += 11) {
            tiny_options o = tiny_default;
            o.arch = window ? "gemma3" : "llama";
            o.type = ENX_TENSOR_F32;
            o.is_calm = true;
            o.window = window;
            assert_cache_like(&o, enx_cpu_detect(levels[level]), 0.05, false, ENX_KV_Q8);
        }
}

/* A head rotated in part, layers that do not rotate, a window's own base. */
static void partial_rotation_equals_the_slow_one(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        static const char *const archs[] = { "phi3", "llama", "smollm3" };
        tiny_options             o = tiny_default;
        o.type = ENX_TENSOR_F32;
        o.arch = archs[variant];
        o.layers = 5;
        o.is_calm = true;
        o.rope_width = variant < 2 ? 24 : 0;
        o.has_rope_factors = variant == 0;
        o.rope_scaling = variant == 1 ? "yarn" : NULL;
        assert_like_slow(&o, enx_cpu_detect(NULL), 0.002);
    }
}

/* Five experts of which three are used: every size is another. */
static tiny_options tiny_sparse(const char *arch, enx_tensor_type type)
{
    tiny_options o = tiny_default;
    o.arch = arch;
    o.type = type;
    o.experts = 5;
    o.experts_used = 3;
    o.layers = 3;
    o.is_calm = true;
    return o;
}

static const char *const sparse[] = { "llama", "qwen3moe", "gpt-oss" };

static void experts_equal_the_slow_ones(void **state)
{
    (void)state;
    for (int variant = 0; variant < 9; variant++) {
        tiny_options o =
            tiny_sparse(sparse[variant % 3], variant < 6 ? ENX_TENSOR_F32 : ENX_TENSOR_F16);
        o.is_head_untied = variant % 2;
        o.window = variant < 3 ? 11 : 0;
        o.rope_scaling = variant >= 3 ? "yarn" : NULL;
        o.experts_used = variant % 2 ? 3 : 5;
        assert_like_slow(&o, enx_cpu_detect(levels[variant % 3]), 0.002);
    }
}

static void only_visited_experts_are_active(void **state)
{
    (void)state;
    tiny_model   m;
    tiny_options o = tiny_sparse("qwen3moe", ENX_TENSOR_F32);
    open_or_fail(&m, &o);
    const uint64_t idle = (uint64_t)3 * 64 * 96 * 3 * (5 - 3); /* tensors, sizes, layers, experts */
    assert_int_equal(enx_model_active_param_count(m.model), enx_model_param_count(m.model) - idle);
    tiny_close(&m);
}

static void models_with_bad_experts_are_refused(void **state)
{
    (void)state;
    tiny_options o = tiny_sparse("qwen3moe", ENX_TENSOR_F32);
    o.experts_used = 6;
    assert_refused(&o, ENX_FORMAT, "use 6 of 5 experts");
    o.experts_used = 3;
    o.without = "blk.2.ffn_gate_inp.weight";
    assert_refused(&o, ENX_NOTFOUND, o.without);
    o.without = NULL;
    o.misshape = "blk.1.ffn_up_exps.weight";
    assert_refused(&o, ENX_FORMAT, "is 64 x 97 x 5, the model's sizes demand 64 x 96 x 5");
    o.misshape = NULL;
    o.extra = "blk.1.ffn_gate_inp.bias";
    assert_refused(&o, ENX_UNSUPPORTED, o.extra);
    o.extra = NULL;
    static const char *const keys[] = { "qwen3moe.expert_count", "qwen3moe.expert_used_count",
                                        "qwen3moe.expert_feed_forward_length" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        o.key = keys[i];
        o.key_value = UINT32_MAX;
        assert_refused(&o, ENX_LIMIT, keys[i]);
        o.key_value = 0;
        assert_refused(&o, ENX_FORMAT, "is 0");
    }
    o = tiny_sparse("gpt-oss", ENX_TENSOR_F32);
    o.without = "blk.0.attn_sinks.weight";
    assert_refused(&o, ENX_NOTFOUND, o.without);
    o.without = NULL;
    o.misshape = "blk.0.ffn_gate_exps.bias";
    assert_refused(&o, ENX_FORMAT, "is 96 x 6 x 1, the model's sizes demand 96 x 5 x 1");
    o = tiny_sparse("qwen3", ENX_TENSOR_F32);
    assert_refused(&o, ENX_NOTFOUND, "ffn_gate.weight");
}

/* Widths that blocks of 256 divide. */
static tiny_options tiny_quant(enx_tensor_type type)
{
    tiny_options o = tiny_default;
    o.type = type;
    o.width = 256;
    o.heads = 8;
    o.kv_heads = 2;
    o.ffn = 256;
    o.layers = 1;
    o.is_calm = true;
    return o;
}

static void fast_equals_slow_for_every_quantized_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENX_QUANT_COUNT; i++) {
        tiny_options o = tiny_quant(quant_layouts[i].type);
        o.arch = i % 2 ? "llama" : NULL;
        o.is_head_untied = i % 3 == 0;
        assert_like_slow(&o, enx_cpu_detect(levels[i % 3]), 0.05);
    }
}

static void quantized_weights_are_not_expanded(void **state)
{
    (void)state;
    tiny_model   m;
    tiny_options o = tiny_quant(ENX_TENSOR_Q4_K);
    open_or_fail(&m, &o);
    /* Laid out anew they take the bytes that they have in the file, small tables besides. */
    assert_true(enx_model_memory_bytes(m.model) < m.bytes.size_bytes + m.bytes.size_bytes / 10);
    tiny_close(&m);
}

static void odd_widths_work_without_blocks(void **state)
{
    (void)state;
    tiny_options o = tiny_default;
    o.type = ENX_TENSOR_F32;
    o.width = 50;
    o.ffn = 37;
    o.head_width = 10;
    o.heads = 4;
    o.kv_heads = 2;
    for (size_t level = 0; level < 3; level++)
        assert_like_slow(&o, enx_cpu_detect(levels[level]), 0.002);
}

static void assert_company_changes_nothing(const tiny_options *o)
{
    static float alone[TOKENS * 101], chunked[TOKENS * 101], row_logits[101];
    tiny_model   m;
    open_or_fail(&m, o);
    enx_forward *f = forward_or_fail(m.model, NULL, enx_cpu_detect(NULL));
    run_sequence(f, 0, 1, alone);
    run_sequence(f, 3, 13, chunked);
    assert_memory_equal(alone, chunked, sizeof alone);
    /* the same sequence in slot 2, with two others in every batch */
    for (uint32_t i = 0; i < TOKENS; i++) {
        const enx_row rows[] = { { .token = 5, .slot = 0, .position = i },
                                 { token_at(i), 2, i, true, false },
                                 { 9, 1, i, true, false } };
        assert_int_equal(enx_forward_run(f, rows, 3), 2);
        enx_forward_logits(f, &(uint32_t){ 0 }, 1, row_logits);
        assert_memory_equal(row_logits, alone + i * 101, sizeof row_logits);
    }
    enx_forward_close(&f);
    tiny_close(&m);
}

static void a_rows_numbers_do_not_depend_on_company_or_chunks(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        const tiny_options o =
            variant ? tiny_sparse(sparse[variant], ENX_TENSOR_Q8_0) : tiny_default;
        assert_company_changes_nothing(&o);
    }
}

enum { SHARERS = 9, SHARED_PAGES = 2, OWN = TOKENS - SHARED_PAGES * ENX_KV_PAGE };

/* Token `i` of slot `slot`: what all begin with, then its own. */
static uint32_t shared_token(uint32_t slot, uint32_t i)
{
    return i < SHARED_PAGES * ENX_KV_PAGE ? token_at(i) : (i * 13 + slot * 29) % 101;
}

/* One sequence in pages of its own. */
static void run_apart(const enx_model *model, uint32_t slot, float *logits)
{
    enx_forward *f = open_forward((enx_forward_options){
        .model = model, .cpu_flags = enx_cpu_detect(NULL), .slot_count = 1 });
    for (uint32_t i = 0; i < TOKENS; i++) {
        const enx_row row = { shared_token(slot, i), 0, i, true, false };
        assert_int_equal(enx_forward_run(f, &row, 1), 1);
        if (i + OWN >= TOKENS)
            enx_forward_logits(f, &(uint32_t){ 0 }, 1, logits + (i + OWN - TOKENS) * 101);
    }
    enx_forward_close(&f);
}

/* Slots whose tables name the pages of slot 0, filled in the very batch of the rows behind them. */
static void run_sharers(enx_forward *f, float (*logits)[OWN * 101])
{
    enx_row  rows[SHARED_PAGES * ENX_KV_PAGE + SHARERS * OWN];
    uint32_t count = 0, hidden = 0;
    for (uint32_t s = 0; s < SHARERS; s++) /* slots in no order of their pages */
        for (uint32_t p = 0; p < 4; p++)
            enx_kv_table(enx_forward_kv(f), s)[p] =
                p < SHARED_PAGES ? 3 * p : 8 + (SHARERS - s) * 3 + p;
    for (uint32_t i = 0; i + OWN < TOKENS; i++)
        rows[count++] = (enx_row){ .token = token_at(i), .slot = 4, .position = i };
    for (uint32_t s = 0; s < SHARERS; s++)
        for (uint32_t i = TOKENS - OWN; i < TOKENS; i++)
            rows[count++] = (enx_row){ shared_token(s, i), s, i, true, false };
    assert_int_equal(enx_forward_run(f, rows, count), SHARERS * OWN);
    for (uint32_t s = 0; s < SHARERS; s++)
        for (uint32_t i = 0; i < OWN; i++, hidden++)
            enx_forward_logits(f, &hidden, 1, logits[s] + i * 101);
}

static void shared_pages_give_the_numbers_of_own_ones(void **state)
{
    (void)state;
    static float             apart[SHARERS][OWN * 101], shared[SHARERS][OWN * 101];
    static const char *const archs[] = { "qwen3", "gemma2", "gemma3", "gpt-oss" };
    for (size_t a = 0; a < 4; a++) {
        tiny_options o =
            a == 3 ? tiny_sparse(archs[a], ENX_TENSOR_Q8_0) : tiny_quant(ENX_TENSOR_Q8_0);
        tiny_model m;
        uint64_t   read, wanted;
        o.arch = archs[a];
        o.window = 20;
        open_or_fail(&m, &o);
        for (uint32_t s = 0; s < SHARERS; s++) run_apart(m.model, s, apart[s]);
        for (uint32_t threads = 1; threads <= 8; threads *= 2) {
            enx_pool *pool = NULL;
            assert_int_equal(enx_pool_open(&pool, threads, NULL), ENX_OK);
            enx_forward *f = open_forward((enx_forward_options){ .model = m.model,
                                                                 .cpu_flags = enx_cpu_detect(NULL),
                                                                 .pool = pool,
                                                                 .slot_count = SHARERS,
                                                                 .page_count = 64,
                                                                 .batch_tokens = 128 });
            run_sharers(f, shared);
            assert_memory_equal(apart, shared, sizeof apart);
            enx_kv_reads(enx_forward_kv(f), &read, &wanted);
            assert_true(wanted > 3 * read); /* what is shared was read once for many */
            enx_forward_close(&f);
            enx_pool_close(&pool);
        }
        tiny_close(&m);
    }
}

static void a_copied_page_holds_the_same(void **state)
{
    (void)state;
    static float wide[2 * 101], narrow[2 * 101];
    tiny_model   m;
    open_or_fail(&m, &tiny_default);
    enx_forward *f =
        open_forward((enx_forward_options){ .model = m.model, .cpu_flags = enx_cpu_detect(NULL) });
    for (uint32_t i = 0; i < 10; i++)
        enx_forward_run(f, &(enx_row){ .token = token_at(i), .slot = 0, .position = i }, 1);
    enx_kv *kv = enx_forward_kv(f);
    enx_kv_copy_page(kv, enx_kv_table(kv, 1)[0], enx_kv_table(kv, 0)[0]);
    for (uint32_t s = 0; s < 2; s++) {
        const enx_row row = { 7, s, 10, true, false };
        assert_int_equal(enx_forward_run(f, &row, 1), 1);
        enx_forward_logits(f, &(uint32_t){ 0 }, 1, s ? wide : narrow);
    }
    assert_memory_equal(wide, narrow, 101 * sizeof *wide);
    enx_forward_close(&f);
    tiny_close(&m);
}

static void an_interrupted_run_has_no_hidden_states(void **state)
{
    (void)state;
    tiny_model    m;
    const enx_row row = { 7, 0, 0, true, false };
    open_or_fail(&m, &tiny_default);
    enx_forward *f =
        open_forward((enx_forward_options){ .model = m.model, .cpu_flags = enx_cpu_detect(NULL) });
    enx_forward_interrupt(f);
    assert_int_equal(enx_forward_run(f, &row, 1), 0);
    assert_int_equal(enx_forward_run(f, &row, 1), 1);
    enx_forward_close(&f);
    tiny_close(&m);
}

static void threads_agree_byte_for_byte(void **state)
{
    (void)state;
    static float                 one[TOKENS * 101], many[TOKENS * 101];
    static const enx_tensor_type types[] = { ENX_TENSOR_F32, ENX_TENSOR_Q8_0, ENX_TENSOR_Q5_K };
    for (int type = 0; type < 4; type++) {
        tiny_options o = type < 3 ? tiny_quant(types[type]) : tiny_sparse("gpt-oss", types[1]);
        tiny_model   m;
        open_or_fail(&m, &o);
        enx_forward *f = forward_or_fail(m.model, NULL, enx_cpu_detect(NULL));
        run_sequence(f, 0, 16, one);
        enx_forward_close(&f);
        for (uint32_t threads = 1; threads <= 3; threads++) {
            enx_pool  *pool = NULL;
            enx_report report = { 0 };
            assert_int_equal(enx_pool_open(&pool, threads, &report), ENX_OK);
            f = forward_or_fail(m.model, pool, enx_cpu_detect(NULL));
            run_sequence(f, 0, 16, many);
            assert_memory_equal(one, many, sizeof one);
            enx_forward_close(&f);
            enx_pool_close(&pool);
        }
        tiny_close(&m);
    }
}

/* The whole head and chosen rows of it give one result. */
static void logits_of_some_tokens_equal_those_of_all(void **state)
{
    (void)state;
    for (enx_tensor_type type = ENX_TENSOR_F32; type <= ENX_TENSOR_MXFP4; type++) {
        if (enx_tensor_row_bytes(type, 256) == 0) continue;
        for (size_t level = 0; level < 3; level++) {
            tiny_options o = tiny_quant(type);
            tiny_model   m;
            float        all[3 * 101], some[101];
            uint32_t     ids[101], hidden[] = { 2, 0, 1 };
            open_or_fail(&m, &o);
            enx_forward  *f = forward_or_fail(m.model, NULL, enx_cpu_detect(levels[level]));
            const enx_row rows[] = { { 5, 0, 0, true, false },
                                     { 6, 1, 0, true, false },
                                     { 7, 2, 0, true, false } };
            assert_int_equal(enx_forward_run(f, rows, 3), 3);
            enx_forward_logits(f, hidden, 3, all);
            for (uint32_t i = 0; i < 101; i++) ids[i] = 100 - i;
            for (uint32_t j = 0; j < 3; j++) {
                enx_forward_logits_of(f, hidden[j], ids, 101, some);
                for (uint32_t i = 0; i < 101; i++) assert_true(some[i] == all[j * 101 + ids[i]]);
            }
            enx_forward_close(&f);
            tiny_close(&m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_and_counted),
        cmocka_unit_test(an_untied_head_is_counted),
        cmocka_unit_test(bad_models_are_refused_with_a_reason),
        cmocka_unit_test(hostile_sizes_are_refused),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(forward_options_have_limits),
        cmocka_unit_test(fast_equals_slow_for_every_type_and_architecture),
        cmocka_unit_test(windows_and_two_ranges_equal_the_slow_ones),
        cmocka_unit_test(alternating_windows_equal_the_slow_ones),
        cmocka_unit_test(stretched_rotation_equals_the_slow_one),
        cmocka_unit_test(with_a_wide_cache_only_floats_round),
        cmocka_unit_test(keys_and_values_in_bytes_stay_near),
        cmocka_unit_test(partial_rotation_equals_the_slow_one),
        cmocka_unit_test(experts_equal_the_slow_ones),
        cmocka_unit_test(only_visited_experts_are_active),
        cmocka_unit_test(models_with_bad_experts_are_refused),
        cmocka_unit_test(fast_equals_slow_for_every_quantized_type),
        cmocka_unit_test(quantized_weights_are_not_expanded),
        cmocka_unit_test(odd_widths_work_without_blocks),
        cmocka_unit_test(a_rows_numbers_do_not_depend_on_company_or_chunks),
        cmocka_unit_test(shared_pages_give_the_numbers_of_own_ones),
        cmocka_unit_test(a_copied_page_holds_the_same),
        cmocka_unit_test(an_interrupted_run_has_no_hidden_states),
        cmocka_unit_test(threads_agree_byte_for_byte),
        cmocka_unit_test(logits_of_some_tokens_equal_those_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
