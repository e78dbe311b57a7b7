/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.c - the recipe's YAML schema and its bounds. */
#include "train/recipe.h"

#include "train/dataset.h"
#include "train/recipe_yaml.h"

#include <string.h>

static const cyaml_strval_t source_kinds[] = {
    { "text", ENX_SOURCE_TEXT },   { "restore", ENX_SOURCE_RESTORE }, { "scout", ENX_SOURCE_SCOUT },
    { "pairs", ENX_SOURCE_PAIRS }, { "plain", ENX_SOURCE_PLAIN },
};

enum { OPTIONAL_TEXT = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL };

/* clang-format off */
static const cyaml_schema_field_t source_fields[] = {
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, enx_recipe_source, kind, source_kinds, 5),
    CYAML_FIELD_STRING_PTR("file", CYAML_FLAG_POINTER, enx_recipe_source, file, 1, 4096),
    CYAML_FIELD_STRING_PTR("language", OPTIONAL_TEXT, enx_recipe_source, language, 1, 24),
    CYAML_FIELD_STRING_PTR("class", OPTIONAL_TEXT, enx_recipe_source, task, 1, 32),
    CYAML_FIELD_FLOAT("weight", CYAML_FLAG_DEFAULT, enx_recipe_source, weight),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t source_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, enx_recipe_source, source_fields),
};
static const cyaml_schema_value_t language_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 24),
};
static const cyaml_schema_field_t model_fields[] = {
    CYAML_FIELD_UINT("width", CYAML_FLAG_DEFAULT, enx_recipe_model, width),
    CYAML_FIELD_UINT("layers", CYAML_FLAG_DEFAULT, enx_recipe_model, layers),
    CYAML_FIELD_UINT("head_width", CYAML_FLAG_DEFAULT, enx_recipe_model, head_width),
    CYAML_FIELD_UINT("ffn", CYAML_FLAG_DEFAULT, enx_recipe_model, ffn),
    CYAML_FIELD_UINT("context", CYAML_FLAG_DEFAULT, enx_recipe_model, context),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t train_fields[] = {
    CYAML_FIELD_UINT("steps", CYAML_FLAG_DEFAULT, enx_recipe_schedule, steps),
    CYAML_FIELD_UINT("shards", CYAML_FLAG_DEFAULT, enx_recipe_schedule, shards),
    CYAML_FIELD_UINT("shard_tokens", CYAML_FLAG_DEFAULT, enx_recipe_schedule, shard_tokens),
    CYAML_FIELD_UINT("passes", CYAML_FLAG_DEFAULT, enx_recipe_schedule, passes),
    CYAML_FIELD_FLOAT("learning_rate", CYAML_FLAG_OPTIONAL, enx_recipe_schedule, learning_rate),
    CYAML_FIELD_UINT("warmup", CYAML_FLAG_DEFAULT, enx_recipe_schedule, warmup),
    CYAML_FIELD_FLOAT("decay", CYAML_FLAG_DEFAULT, enx_recipe_schedule, decay),
    CYAML_FIELD_FLOAT("weight_decay", CYAML_FLAG_DEFAULT, enx_recipe_schedule, weight_decay),
    CYAML_FIELD_FLOAT("clip", CYAML_FLAG_DEFAULT, enx_recipe_schedule, clip),
    CYAML_FIELD_FLOAT("checkpoint_minutes", CYAML_FLAG_DEFAULT, enx_recipe_schedule,
                      checkpoint_minutes),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t restore_fields[] = {
    CYAML_FIELD_FLOAT("level_1", CYAML_FLAG_DEFAULT, enx_recipe_restore, level_1),
    CYAML_FIELD_FLOAT("level_2", CYAML_FLAG_DEFAULT, enx_recipe_restore, level_2),
    CYAML_FIELD_FLOAT("level_3", CYAML_FLAG_DEFAULT, enx_recipe_restore, level_3),
    CYAML_FIELD_FLOAT("partial", CYAML_FLAG_DEFAULT, enx_recipe_restore, partial),
    CYAML_FIELD_FLOAT("tag_dropout", CYAML_FLAG_DEFAULT, enx_recipe_restore, tag_dropout),
    CYAML_FIELD_FLOAT("draft", CYAML_FLAG_OPTIONAL, enx_recipe_restore, draft),
    CYAML_FIELD_UINT("window_bytes", CYAML_FLAG_DEFAULT, enx_recipe_restore, window_bytes),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t recipe_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, enx_recipe, name, 1, 128),
    CYAML_FIELD_STRING_PTR("about", CYAML_FLAG_POINTER, enx_recipe, about, 1, 1024),
    CYAML_FIELD_UINT("seed", CYAML_FLAG_DEFAULT, enx_recipe, seed),
    CYAML_FIELD_MAPPING("tokenizer", CYAML_FLAG_DEFAULT, enx_recipe, tokenizer,
                        enx_recipe_tokenizer_fields),
    CYAML_FIELD_MAPPING("model", CYAML_FLAG_DEFAULT, enx_recipe, model, model_fields),
    CYAML_FIELD_MAPPING("train", CYAML_FLAG_DEFAULT, enx_recipe, train, train_fields),
    CYAML_FIELD_MAPPING("restore", CYAML_FLAG_OPTIONAL, enx_recipe, restore, restore_fields),
    CYAML_FIELD_SEQUENCE("languages", OPTIONAL_TEXT, enx_recipe, languages, &language_schema, 0,
                         ENX_RECIPE_SOURCES_MAX),
    CYAML_FIELD_SEQUENCE("sources", CYAML_FLAG_POINTER, enx_recipe, sources, &source_schema, 1,
                         ENX_RECIPE_SOURCES_MAX),
    CYAML_FIELD_END
};
/* clang-format on */

static const cyaml_schema_value_t recipe_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, enx_recipe, recipe_fields),
};

static const char class_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

static enx_status check_recipe(const void *data, enx_report *report)
{
    const enx_recipe          *r = data;
    const enx_recipe_schedule *t = &r->train;
    if (t->steps == 0 || t->passes == 0 || t->shards == 0 || t->shards > ENX_DATASET_SHARDS_MAX)
        return ENX_FAIL(report, INVALID, "train: steps and passes start at 1, shards is 1..%d",
                        ENX_DATASET_SHARDS_MAX);
    if (t->shard_tokens < 64 || t->shard_tokens % 64 || t->shard_tokens > 1 << 16)
        return ENX_FAIL(report, INVALID,
                        "train.shard_tokens: %u is not a multiple of 64 in 64..65536",
                        t->shard_tokens);
    if (r->model.context < 16 || r->model.context > ENX_GRAD_SEGMENT_MAX)
        return ENX_FAIL(report, INVALID, "model.context: %u is not in 16..%d", r->model.context,
                        ENX_GRAD_SEGMENT_MAX);
    for (unsigned i = 0; i < r->sources_count; i++) {
        const enx_source_kind kind = r->sources[i].kind;
        if (!(r->sources[i].weight > 0))
            return ENX_FAIL(report, INVALID, "sources: %s has no positive weight",
                            r->sources[i].file);
        if (r->sources[i].task &&
            (kind != ENX_SOURCE_PAIRS ||
             strspn(r->sources[i].task, class_letters) != strlen(r->sources[i].task)))
            return ENX_FAIL(report, INVALID,
                            "sources: class of %s: pairs have one, of small letters, digits and _",
                            r->sources[i].file);
        if ((kind == ENX_SOURCE_RESTORE) &&
            (r->restore.window_bytes < 16 ||
             !(r->restore.level_1 + r->restore.level_2 + r->restore.level_3 > 0)))
            return ENX_FAIL(report, INVALID,
                            "restore: window_bytes and shares of the levels are "
                            "needed for %s",
                            r->sources[i].file);
    }
    return ENX_OK;
}

static const enx_recipe_yaml recipe_yaml = { "recipe", &recipe_schema, check_recipe };

enx_status enx_recipe_open(enx_recipe **out, const char *path, enx_report *report)
{
    void *data = NULL;
    ENX_TRY(enx_recipe_yaml_open(&data, &recipe_yaml, path, report));
    *out = data;
    return ENX_OK;
}

void enx_recipe_close(enx_recipe **recipe)
{
    enx_recipe_yaml_close(&recipe_yaml, *recipe);
    *recipe = NULL;
}
