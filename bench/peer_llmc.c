/* SPDX-License-Identifier: Apache-2.0 */
/* peer_llmc.c - steps of llm.c's CPU trainer, timed as bench_train times ours.
 *
 *     cc -Ofast -march=native -fopenmp -DTESTING -I LLMC bench/peer_llmc.c -o peer_llmc -lm
 *     peer_llmc VOCAB WIDTH LAYERS TOKENS STEPS
 *
 * LLMC is a copy of github.com/karpathy/llm.c, which is not part of this project.  Prints tokens a
 * second of processor time, the best of STEPS, after one that does not count.
 */
#include "train_gpt2.c"

enum { SEGMENT = 256 };

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void open_model(GPT2 *model, int vocab, int width, int layers)
{
    memset(model, 0, sizeof *model);
    model->config = (GPT2Config){ .max_seq_len = SEGMENT,
                                  .vocab_size = vocab,
                                  .padded_vocab_size = vocab,
                                  .num_layers = layers,
                                  .num_heads = width / 32,
                                  .channels = width };
    fill_in_parameter_sizes(model->param_sizes, model->config);
    for (int i = 0; i < NUM_PARAMETER_TENSORS; i++) model->num_parameters += model->param_sizes[i];
    model->params_memory = malloc_and_point_parameters(&model->params, model->param_sizes);
    for (size_t i = 0; i < model->num_parameters; i++)
        model->params_memory[i] = 0.02f * ((float)(i * 2654435761u % 1000) / 500.0f - 1.0f);
    model->mean_loss = -1.0f;
}

static int number(const char *text) { return (int)strtol(text, NULL, 10); }

int main(int argc, char **argv)
{
    if (argc != 6) return 64;
    const int vocab = number(argv[1]), batch = number(argv[4]) / SEGMENT, steps = number(argv[5]);
    GPT2      model;
    open_model(&model, vocab, number(argv[2]), number(argv[3]));
    int   *tokens = malloc((size_t)batch * SEGMENT * sizeof *tokens);
    double best = 1e30;
    for (int i = 0; i < batch * SEGMENT; i++) tokens[i] = (int)(i * 2654435761u >> 7) % vocab;
    for (int step = 0; step <= steps; step++) {
        const double start = cpu_seconds();
        gpt2_forward(&model, tokens, tokens, batch, SEGMENT);
        gpt2_zero_grad(&model);
        gpt2_backward(&model);
        gpt2_update(&model, 1e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, step + 1);
        const double seconds = cpu_seconds() - start;
        if (step > 0 && seconds < best) best = seconds;
    }
    printf("llm.c,%zu,%.0f\n", model.num_parameters, batch * SEGMENT / best);
    return 0;
}
