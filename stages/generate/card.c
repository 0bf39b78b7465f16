#include "stages/generate/card.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/shards.h"
#include "stages/json.h"
#include "stages/ledger.h"

enum { BLOCK = 65536, MOST_SCORES = 16, MOST_DOMAINS = 8, NAME = 80 };

struct score {
  char name[NAME];
  double mean, least, largest;
};

struct card {
  struct dvg_shard_reader *set;
  struct dvg_request request;
  int64_t n_items, n_written, n_reason[DVG_N_REASONS];
  int n_scores, n_domains;
  struct score score[MOST_SCORES];
  char domain[MOST_DOMAINS][NAME];
  int64_t size;
  int noise, prior; // identities, attributes from random numbers
};

static const char *const limits[] = {
    "The people are invented, but the images are not free of real ones: what varies within a person (pose, "
    "light, expression, surroundings) is that of the few "
    "real images the generator was trained on, and images may resemble them. How near identities come to those "
    "trained on is measured by `dvg-evaluate --pairs ... --training ...`.",
    "Identities follow the face set that the recogniser and the sampler were trained on, with its shares of "
    "age, sex and ancestry; they were not balanced.",
    "Scores are those of the recogniser named above, which the generator may have been trained to please; "
    "another one is a fairer judge.",
    "A set like this is for training; it is no evidence about how well anything recognises real people.",
};

// ---- what the set says

static enum dvg_status take_column(const char *name, int is_attribute, void *context) {
  struct card *c = context;
  if (is_attribute) return DVG_OK;
  if (strncmp(name, "cos_", 4) == 0 && c->n_scores < MOST_SCORES)
    snprintf(c->score[c->n_scores++].name, NAME, "%.70s", name);
  if (strncmp(name, "image_", 6) == 0 && c->n_domains < MOST_DOMAINS) {
    int64_t dims[DVG_MAX_DIMS];
    int n_dims;
    enum dvg_type type;
    DVG_TRY(dvg_artifact_shape(dvg_shard_reader_first(c->set), name, &type, &n_dims, dims));
    if (n_dims == 4) c->size = dims[1];
    snprintf(c->domain[c->n_domains++], NAME, "%.70s", name + 6);
  }
  return DVG_OK;
}

static enum dvg_status is_noise(int *is, const struct dvg_artifact *a, const char *name) {
  char *text = NULL;
  *is = 0;
  if (!dvg_artifact_has_attribute(a, name)) return DVG_OK;
  DVG_TRY(dvg_artifact_get_text(a, name, &text));
  *is = strcmp(text, "noise") == 0;
  dvg_free(&text);
  return DVG_OK;
}

static void add_score(struct score *s, double x, int64_t n_before) {
  s->mean += x; // the sum, until all are there
  if (n_before == 0 || x < s->least) s->least = x;
  if (n_before == 0 || x > s->largest) s->largest = x;
}

static enum dvg_status count_block(struct card *c, int64_t first, int64_t n, unsigned char *fate,
                                   unsigned char *reason, double *value) {
  const int64_t n_before = c->n_written;
  DVG_TRY(dvg_shard_reader_read(c->set, "fate", DVG_U8, first, n, fate));
  DVG_TRY(dvg_shard_reader_read(c->set, "reason", DVG_U8, first, n, reason));
  for (int64_t i = 0; i < n; i++) {
    if (fate[i] == DVG_FATE_WRITTEN) c->n_written++;
    else if (reason[i] < DVG_N_REASONS) c->n_reason[reason[i]]++;
  }
  for (int k = 0; k < c->n_scores; k++) {
    int64_t seen = n_before;
    DVG_TRY(dvg_shard_reader_read(c->set, c->score[k].name, DVG_F64, first, n, value));
    for (int64_t i = 0; i < n; i++)
      if (fate[i] == DVG_FATE_WRITTEN) add_score(&c->score[k], value[i], seen++);
  }
  return DVG_OK;
}

static enum dvg_status count_all(struct card *c) {
  unsigned char *fate = NULL, *reason = NULL;
  double *value = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&fate, BLOCK, "fates of pairs"));
  DVG_TRY_GOTO(DVG_NEW(&reason, BLOCK, "reasons of pairs"));
  DVG_TRY_GOTO(DVG_NEW(&value, BLOCK, "scores of pairs"));
  for (int64_t first = 0; first < c->n_items; first += BLOCK)
    DVG_TRY_GOTO(
        count_block(c, first, c->n_items - first < BLOCK ? c->n_items - first : BLOCK, fate, reason, value));
  for (int k = 0; k < c->n_scores; k++) c->score[k].mean /= c->n_written > 0 ? (double)c->n_written : NAN;
done:
  dvg_free(&fate);
  dvg_free(&reason);
  dvg_free(&value);
  return status;
}

static enum dvg_status read_card(struct card *c, const char *folder) {
  DVG_TRY(dvg_shard_reader_open(&c->set, folder, "pairs", DVG_PAIRS_VERSION));
  DVG_TRY(dvg_request_read(&c->request, folder));
  c->n_items = dvg_shard_reader_items(c->set);
  const struct dvg_artifact *first = dvg_shard_reader_first(c->set);
  DVG_TRY(dvg_artifact_each(first, take_column, c));
  DVG_TRY(is_noise(&c->noise, first, "identity_source"));
  DVG_TRY(is_noise(&c->prior, first, "attribute_source"));
  return count_all(c);
}

static const char *identities_from(const struct card *c) {
  return c->noise ? "noise, by the identity sampler" : "features of real faces";
}

static const char *attributes_from(const struct card *c) {
  return c->prior ? "noise" : "real images of the bank";
}

// ---- card.json

// Calls for each line of `text`: key and value, divided by `divider`; the value "" where there is none.
static void each_line(const char *text, const char *divider, void (*visit)(void *, const char *, const char *),
                      void *context) {
  char line[2048];
  for (const char *at = text; *at;) {
    const size_t n = strcspn(at, "\n");
    snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), at);
    char *value = strstr(line, divider);
    if (value) {
      *value = 0;
      value += strlen(divider);
    }
    if (line[0]) visit(context, line, value ? value : "");
    at += n + (at[n] == '\n');
  }
}

static void json_setting(void *context, const char *key, const char *value) {
  dvg_json_text(context, key, value);
}

// An input is "role name digest"; a name may hold blanks.
static void json_input(void *context, const char *role, const char *rest) {
  const char *digest = strrchr(rest, ' ');
  char name[1024];
  snprintf(name, sizeof name, "%.*s", (int)(digest ? digest - rest : 0), rest);
  dvg_json_open(context, NULL, '{');
  dvg_json_text(context, "role", role);
  dvg_json_text(context, "name", name);
  dvg_json_text(context, "sha256", digest ? digest + 1 : rest);
  dvg_json_close(context, '}');
}

static enum dvg_status make_json(char **text, const struct card *c) {
  struct dvg_json j;
  dvg_json_begin(&j);
  dvg_json_text(&j, "what", "pairs of synthetic face images of invented people");
  dvg_json_text(&j, "program", "dvg-generate " DVG_VERSION);
  dvg_json_text(&j, "root_digest", dvg_shard_reader_digest(c->set));
  dvg_json_open(&j, "domains", '[');
  for (int d = 0; d < c->n_domains; d++) dvg_json_text(&j, NULL, c->domain[d]);
  dvg_json_close(&j, ']');
  dvg_json_int(&j, "image_size", c->size);
  dvg_json_int(&j, "requested", c->n_items);
  dvg_json_int(&j, "written", c->n_written);
  dvg_json_int(&j, "rejected_inconsistent", c->n_reason[DVG_REASON_INCONSISTENT]);
  dvg_json_int(&j, "rejected_revoked", c->n_reason[DVG_REASON_REVOKED]);
  dvg_json_text(&j, "identities_from", identities_from(c));
  dvg_json_text(&j, "attributes_from", attributes_from(c));
  dvg_json_open(&j, "made_from", '[');
  each_line(c->request.inputs, " ", json_input, &j);
  dvg_json_close(&j, ']');
  dvg_json_open(&j, "settings", '{');
  each_line(c->request.settings, " = ", json_setting, &j);
  dvg_json_close(&j, '}');
  dvg_json_open(&j, "scores", '{');
  for (int k = 0; k < c->n_scores; k++) {
    dvg_json_open(&j, c->score[k].name, '{');
    dvg_json_real(&j, "mean", c->score[k].mean);
    dvg_json_real(&j, "least", c->score[k].least);
    dvg_json_real(&j, "largest", c->score[k].largest);
    dvg_json_close(&j, '}');
  }
  dvg_json_close(&j, '}');
  dvg_json_open(&j, "known_limits", '[');
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) dvg_json_text(&j, NULL, limits[i]);
  dvg_json_close(&j, ']');
  return dvg_json_end(&j, text);
}

// ---- card.md

// What a user named, within a table: as code, without what would end it.
static void put_code(FILE *to, const char *text) {
  fputc('`', to);
  for (; *text; text++) fputc(*text == '`' || *text == '|' || (unsigned char)*text < 32 ? '?' : *text, to);
  fputc('`', to);
}

static void md_setting(void *context, const char *key, const char *value) {
  fprintf(context, "| %s | ", key);
  if (value[0]) put_code(context, value);
  fputs(" |\n", context);
}

static void md_input(void *context, const char *role, const char *rest) {
  const char *digest = strrchr(rest, ' ');
  char name[1024];
  snprintf(name, sizeof name, "%.*s", (int)(digest ? digest - rest : 0), rest);
  fprintf(context, "| %s | ", role);
  put_code(context, name);
  fprintf(context, " | `%s` |\n", digest ? digest + 1 : rest);
}

static void put_card(FILE *to, const struct card *c) {
  fprintf(to, "# %lld pairs of synthetic faces: ", (long long)c->n_written);
  for (int d = 0; d < c->n_domains; d++) fprintf(to, "%s%s", d ? " and " : "", c->domain[d]);
  fprintf(to,
          "\n\nImages of %lld x %lld pixels of invented people, each seen in all domains. Identities come from "
          "%s, attributes (pose, light, expression) from %s.\n\n",
          (long long)c->size, (long long)c->size, identities_from(c), attributes_from(c));
  fprintf(to,
          "Asked for: %lld pairs; written: %lld; rejected as inconsistent: %lld, as revoked: %lld.\n\nRoot "
          "digest `%s`; made by dvg-generate %s.\n\n",
          (long long)c->n_items, (long long)c->n_written, (long long)c->n_reason[DVG_REASON_INCONSISTENT],
          (long long)c->n_reason[DVG_REASON_REVOKED], dvg_shard_reader_digest(c->set), DVG_VERSION);
  fputs("## Made from\n\n| | name | SHA-256 |\n|---|---|---|\n", to);
  each_line(c->request.inputs, " ", md_input, to);
  fputs("\n## Settings\n\n| | |\n|---|---|\n", to);
  each_line(c->request.settings, " = ", md_setting, to);
  fputs("\n## Scores\n\n", to);
  if (c->n_scores == 0) fputs("None: no recogniser looked at the pairs when they were made.\n", to);
  else
    fputs("Cosines by the recogniser named above: within a pair, and of each domain to the identity.\n\n| | "
          "mean | least | largest |\n|---|---|---|---|\n",
          to);
  for (int k = 0; k < c->n_scores; k++)
    fprintf(to, "| %s | %.4f | %.4f | %.4f |\n", c->score[k].name, c->score[k].mean, c->score[k].least,
            c->score[k].largest);
  fputs("\n## Known limits\n\n", to);
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) fprintf(to, "- %s\n", limits[i]);
}

static enum dvg_status make_md(char **text, const struct card *c) {
  size_t n_bytes;
  char *made = NULL;
  FILE *to = open_memstream(&made, &n_bytes);
  if (!to) return dvg_fail(DVG_ERROR_MEMORY, "no memory for the card");
  put_card(to, c);
  const int good = !ferror(to);
  enum dvg_status status = fclose(to) == 0 && good ? dvg_text(text, "%s", made)
                                                   : dvg_fail(DVG_ERROR_MEMORY, "no memory for the card");
  free(made);
  return status;
}

// ---- both

static enum dvg_status write_one(const char *folder, const char *name, const struct card *c,
                                 enum dvg_status (*make)(char **, const struct card *)) {
  char *text = NULL, *path = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(make(&text, c));
  DVG_TRY_GOTO(dvg_text(&path, "%s/%s", folder, name));
  status = dvg_path_write_text(path, text);
done:
  dvg_free(&text);
  dvg_free(&path);
  return status;
}

enum dvg_status dvg_card_write(const char *folder) {
  struct card c = {.set = NULL};
  enum dvg_status status = read_card(&c, folder);
  if (status == DVG_OK) status = write_one(folder, "card.json", &c, make_json);
  if (status == DVG_OK) status = write_one(folder, "card.md", &c, make_md);
  dvg_shard_reader_close(&c.set);
  dvg_request_free(&c.request);
  return status;
}

enum dvg_status dvg_card_remove(const char *folder) {
  static const char *const names[] = {"card.md", "card.json"};
  for (int i = 0; i < 2; i++) {
    char *path = NULL;
    DVG_TRY(dvg_text(&path, "%s/%s", folder, names[i]));
    enum dvg_status status = dvg_path_remove(path);
    dvg_free(&path);
    DVG_TRY(status);
  }
  return DVG_OK;
}
