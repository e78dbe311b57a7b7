/* SPDX-License-Identifier: Apache-2.0 */
/* make_corpus_gguf.c - writes the hand-made seeds of fuzz_gguf:  make_corpus_gguf FOLDER */
#include "base/status.h"
#include "gguf/gguf.h"
#include "gguf_build.h"
#include "plat/file.h"

#include <stdio.h>
#include <stdlib.h>

static void seed_minimal(gguf_build *file) { build_header(file, 3, 0, 0); }

static void seed_scalars(gguf_build *file)
{
    static const uint8_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    build_header(file, 3, 0, 12);
    for (uint32_t type = 0; type <= ENX_GGUF_F64; type++) {
        char name[16];
        if (type == ENX_GGUF_ARRAY) continue;
        snprintf(name, sizeof name, "scalar.%u", type);
        build_key(file, name, type);
        if (type == ENX_GGUF_STRING) build_str(file, "text");
        for (uint8_t i = 0; i < sizes[type]; i++) build_u8(file, 1);
    }
}

static void seed_arrays(gguf_build *file)
{
    build_header(file, 3, 0, 4);
    build_key(file, "tokens", ENX_GGUF_ARRAY), build_u32(file, ENX_GGUF_STRING);
    build_u64(file, 3), build_str(file, "um"), build_str(file, ""), build_str(file, "tr\xC3\xAAs");
    build_key(file, "scores", ENX_GGUF_ARRAY), build_u32(file, ENX_GGUF_F32);
    build_u64(file, 2), build_u64(file, 0);
    build_key(file, "flags", ENX_GGUF_ARRAY), build_u32(file, ENX_GGUF_BOOL);
    build_u64(file, 2), build_raw(file, "\0\1", 2);
    build_key(file, "none", ENX_GGUF_ARRAY), build_u32(file, ENX_GGUF_U64);
    build_u64(file, 0);
}

static void seed_tensors(gguf_build *file)
{
    build_header(file, 2, 4, 1);
    build_key(file, "general.architecture", ENX_GGUF_STRING), build_str(file, "llama");
    build_tensor(file, "token_embd.weight", 8, 2, ENX_TENSOR_F32, 0);
    build_tensor(file, "output.weight", 32, 2, ENX_TENSOR_Q8_0, 64);
    build_tensor(file, "blk.0.attn_q.weight", 3, 5, ENX_TENSOR_F16, 160);
    build_tensor(file, "blk.0.attn_k.weight", 16, 1, ENX_TENSOR_BF16, 0);
    build_pad(file, 32), build_data(file, 192);
}

static void seed_aligned(gguf_build *file)
{
    build_header(file, 3, 1, 1);
    build_key(file, "general.alignment", ENX_GGUF_U32), build_u32(file, 64);
    build_tensor(file, "w", 4, 4, ENX_TENSOR_F32, 64);
    build_pad(file, 64), build_data(file, 128);
}

static void seed_cut(gguf_build *file)
{
    seed_tensors(file);
    file->size_bytes -= 40;
}

static void seed_twins(gguf_build *file)
{
    build_header(file, 3, 0, 2);
    build_key(file, "twin", ENX_GGUF_U8), build_u8(file, 1);
    build_key(file, "twin", ENX_GGUF_U8), build_u8(file, 2);
}

static void seed_huge_counts(gguf_build *file)
{
    build_header(file, 3, UINT64_MAX, ENX_GGUF_KEYS_MAX);
    build_data(file, 64);
}

static void seed_nested(gguf_build *file)
{
    build_header(file, 3, 0, 1);
    build_key(file, "nested", ENX_GGUF_ARRAY), build_u32(file, ENX_GGUF_ARRAY);
    build_u64(file, 1), build_u32(file, ENX_GGUF_U8), build_u64(file, 1), build_u8(file, 1);
}

static void seed_overflow(gguf_build *file)
{
    build_header(file, 3, 1, 0);
    build_tensor(file, "w", UINT64_C(1) << 33, UINT64_C(1) << 33, ENX_TENSOR_F32, UINT64_MAX - 31);
    build_pad(file, 32), build_data(file, 32);
}

static void seed_wrap(gguf_build *file)
{
    build_header(file, 3, 1, 0);
    build_tensor(file, "w", 8, 1, ENX_TENSOR_F32, UINT64_MAX - 31);
    build_pad(file, 32), build_data(file, 32);
}

static void seed_unknown_type(gguf_build *file)
{
    build_header(file, 3, 1, 0);
    build_tensor(file, "w", 256, 1, 12, 0);
    build_pad(file, 32), build_data(file, 160);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*build)(gguf_build *file);
    } seeds[] = {
        { "minimal", seed_minimal },
        { "scalars", seed_scalars },
        { "arrays", seed_arrays },
        { "tensors", seed_tensors },
        { "aligned", seed_aligned },
        { "cut", seed_cut },
        { "twins", seed_twins },
        { "huge_counts", seed_huge_counts },
        { "nested", seed_nested },
        { "overflow", seed_overflow },
        { "unknown_type", seed_unknown_type },
        { "wrap", seed_wrap },
    };
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus_gguf FOLDER\n");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char       path[4096];
        enx_report report;
        gguf_build file = { 0 };
        seeds[i].build(&file);
        snprintf(path, sizeof path, "%s/%s", argv[1], seeds[i].name);
        if (enx_file_write(path, file.bytes, file.size_bytes, &report) != ENX_OK) {
            fprintf(stderr, "make_corpus_gguf: %s\n", report.text);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
