#include "stages/inspect/contact.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/images.h"
#include "io/shards.h"
#include "io/sheet.h"
#include "stages/ledger.h"

enum { MAX_DOMAINS = 8, NAME_BYTES = 72 };

// Of large images fewer than asked for, or than usual, fit on a sheet.
static int64_t cut(int64_t wanted, int64_t most, const char *what) {
  if (most < 1) most = 1; // what is too large even so is refused by the sheet
  if (wanted <= most) return wanted;
  dvg_warn("the sheet has room for %lld of %lld %s", (long long)most, (long long)wanted, what);
  return most;
}

// ---- image sets

struct grid {
  struct dvg_image_set set;
  int64_t people;        // rows
  int64_t *first_column; // (n_domains + 1)
  int64_t *row;          // (people, columns): row of the set, -1: none
};

static int64_t columns_of(const struct grid *g) {
  return g->first_column[g->set.n_domains];
}

// How many columns each domain needs: the most images that one of the people has, but at most `each`.
static void count_columns(struct grid *g, const int64_t *count, int64_t each) {
  int64_t n_domains = g->set.n_domains;
  for (int64_t d = 0; d < n_domains; d++) {
    int64_t most = 0;
    for (int64_t k = 0; k < g->people; k++)
      if (count[k * n_domains + d] > most) most = count[k * n_domains + d];
    g->first_column[d + 1] = g->first_column[d] + (most < each ? most : each);
  }
}

static enum dvg_status lay_out(struct grid *g, const struct dvg_inspect *s) {
  const struct dvg_image_set *set = &g->set;
  int64_t *count = NULL;
  DVG_TRY(DVG_NEW(&g->first_column, set->n_domains + 1, "columns of a sheet"));
  DVG_TRY(DVG_NEW(&count, g->people * set->n_domains, "cells of a sheet"));
  for (int64_t i = 0; i < set->N; i++) {
    int64_t k = set->identity[i] - s->first;
    if (k >= 0 && k < g->people) count[k * set->n_domains + set->domain[i]]++;
  }
  int64_t each = 0, wanted;
  for (int64_t k = 0; k < g->people * set->n_domains; k++)
    if (count[k] > each) each = count[k];
  if (s->per_person < each) each = s->per_person;
  wanted = each;
  count_columns(g, count, each);
  while (each > 1 && columns_of(g) > dvg_sheet_most(set->W)) count_columns(g, count, --each);
  cut(wanted, each, "images of a person in a domain");
  enum dvg_status status = DVG_NEW(&g->row, g->people * columns_of(g), "cells of a sheet");
  if (status == DVG_OK) {
    memset(count, 0, (size_t)(g->people * set->n_domains) * sizeof *count);
    memset(g->row, -1, (size_t)(g->people * columns_of(g)) * sizeof *g->row);
    for (int64_t i = 0; i < set->N; i++) {
      int64_t k = set->identity[i] - s->first, d = set->domain[i];
      if (k < 0 || k >= g->people) continue;
      int64_t n = count[k * set->n_domains + d]++;
      if (n < g->first_column[d + 1] - g->first_column[d])
        g->row[k * columns_of(g) + g->first_column[d] + n] = i;
    }
  }
  dvg_free(&count);
  return status;
}

static enum dvg_status fill_images(struct dvg_sheet *sheet, const struct grid *g, int64_t first) {
  const struct dvg_image_set *set = &g->set;
  unsigned char *pixels = NULL;
  DVG_TRY(DVG_NEW(&pixels, set->H * set->W * set->C, "an image"));
  enum dvg_status status = DVG_OK;
  char text[NAME_BYTES];
  for (int64_t d = 0; d < set->n_domains; d++)
    for (int64_t c = g->first_column[d]; c < g->first_column[d + 1]; c++) {
      snprintf(text, sizeof text, "%s %lld", set->domain_name[d], (long long)(c - g->first_column[d] + 1));
      dvg_sheet_column(sheet, c, text);
    }
  for (int64_t k = 0; k < g->people; k++) {
    dvg_sheet_row(sheet, k, set->person[first + k]);
    for (int64_t c = 0; c < columns_of(g); c++) {
      int64_t row = g->row[k * columns_of(g) + c];
      if (row < 0) continue;
      DVG_TRY_GOTO(dvg_image_set_read(set, row, 1, pixels));
      dvg_sheet_cell_u8(sheet, k, c, pixels, set->C);
    }
  }
done:
  dvg_free(&pixels);
  return status;
}

enum dvg_status dvg_contact_images(const char *path, const struct dvg_inspect *s) {
  struct grid g = {.people = 0};
  struct dvg_sheet *sheet = NULL;
  DVG_TRY(dvg_image_set_open(&g.set, path));
  enum dvg_status status;
  if (s->first >= g.set.n_people) {
    status = dvg_fail(DVG_ERROR_USAGE, "--first %lld: %s has %lld people", (long long)s->first, path,
                      (long long)g.set.n_people);
    goto done;
  }
  g.people = g.set.n_people - s->first < s->people ? g.set.n_people - s->first : s->people;
  g.people = cut(g.people, dvg_sheet_most(g.set.H), "people");
  DVG_TRY_GOTO(lay_out(&g, s));
  char title[256];
  snprintf(title, sizeof title, "%.100s: %lld images of %lld people", dvg_path_name(path), (long long)g.set.N,
           (long long)g.set.n_people);
  DVG_TRY_GOTO(dvg_sheet_create(&sheet, g.people, columns_of(&g), g.set.H, g.set.W, title));
  DVG_TRY_GOTO(fill_images(sheet, &g, s->first));
  status = dvg_sheet_write(sheet, s->sheet);
done:
  dvg_sheet_free(&sheet);
  dvg_free(&g.first_column);
  dvg_free(&g.row);
  dvg_image_set_close(&g.set);
  return status;
}

// ---- pair sets

struct pairs {
  struct dvg_shard_reader *set;
  struct dvg_ledger ledger; // rejected pairs have nothing to show
  int n_domains, n_scores, has_number;
  char image[MAX_DOMAINS][NAME_BYTES]; // datasets
  char score[MAX_DOMAINS + 1][NAME_BYTES];
  int64_t H, W, C;
};

static enum dvg_status take_pair_dataset(const char *name, int is_attribute, void *context) {
  struct pairs *p = context;
  const struct dvg_artifact *a = dvg_shard_reader_first(p->set);
  enum dvg_type type;
  int n_dims;
  int64_t dims[DVG_MAX_DIMS];
  if (is_attribute || strlen(name) >= NAME_BYTES) return DVG_OK;
  if (strcmp(name, "number") == 0) p->has_number = 1;
  int is_image = strncmp(name, "image_", 6) == 0, is_score = strncmp(name, "cos_", 4) == 0;
  if (!is_image && !is_score) return DVG_OK;
  DVG_TRY(dvg_artifact_shape(a, name, &type, &n_dims, dims));
  if (is_score) {
    if (n_dims == 1 && (type == DVG_F32 || type == DVG_F64) && p->n_scores <= MAX_DOMAINS)
      strcpy(p->score[p->n_scores++], name);
    return DVG_OK;
  }
  if (type != DVG_U8 || n_dims != 4 || (dims[3] != 1 && dims[3] != 3))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' is no set of images", dvg_artifact_path(a), name);
  if (p->n_domains == MAX_DOMAINS || (p->n_domains && (dims[1] != p->H || dims[2] != p->W || dims[3] != p->C)))
    return dvg_fail(DVG_ERROR_INPUT, "%s: '%s' doesn't fit beside the other images", dvg_artifact_path(a),
                    name);
  p->H = dims[1];
  p->W = dims[2];
  p->C = dims[3];
  strcpy(p->image[p->n_domains++], name);
  return DVG_OK;
}

static int has_score(const struct pairs *p, const char *name) {
  for (int i = 0; i < p->n_scores; i++)
    if (strcmp(p->score[i], name) == 0) return 1;
  return 0;
}

// The notes of one pair: its number and the score within it under the first image, each image's own score under
// it.
static enum dvg_status write_notes(struct dvg_sheet *sheet, const struct pairs *p, int64_t item, int64_t row,
                                   int64_t column) {
  int64_t number = item;
  float value;
  if (p->has_number) DVG_TRY(dvg_shard_reader_read(p->set, "number", DVG_I64, item, 1, &number));
  for (int d = 0; d < p->n_domains; d++) {
    char text[96] = "", own[NAME_BYTES + 4];
    size_t n = 0;
    if (d == 0) n += (size_t)snprintf(text, sizeof text, "#%lld", (long long)number);
    snprintf(own, sizeof own, "cos_%s", p->image[d] + 6);
    if (has_score(p, own)) {
      DVG_TRY(dvg_shard_reader_read(p->set, own, DVG_F32, item, 1, &value));
      n += (size_t)snprintf(text + n, sizeof text - n, "%sid %.2f", n ? " " : "", (double)value);
    }
    if (d == 1 && has_score(p, "cos_pair")) {
      DVG_TRY(dvg_shard_reader_read(p->set, "cos_pair", DVG_F32, item, 1, &value));
      snprintf(text + n, sizeof text - n, "%scos %.2f", n ? " " : "", (double)value);
    }
    dvg_sheet_note(sheet, row, column + d, text);
  }
  return DVG_OK;
}

static enum dvg_status fill_pairs(struct dvg_sheet *sheet, const struct pairs *p, int64_t first,
                                  int64_t n_items, int64_t columns) {
  unsigned char *pixels = NULL;
  DVG_TRY(DVG_NEW(&pixels, p->H * p->W * p->C, "an image"));
  enum dvg_status status = DVG_OK;
  for (int64_t c = 0; c < columns * p->n_domains; c++)
    dvg_sheet_column(sheet, c, p->image[c % p->n_domains] + 6);
  for (int64_t i = 0; i < n_items; i++) {
    int64_t row = i / columns, column = i % columns * p->n_domains,
            item = dvg_ledger_item(&p->ledger, first + i);
    for (int d = 0; d < p->n_domains; d++) {
      DVG_TRY_GOTO(dvg_shard_reader_read(p->set, p->image[d], DVG_U8, item, 1, pixels));
      dvg_sheet_cell_u8(sheet, row, column + d, pixels, p->C);
    }
    DVG_TRY_GOTO(write_notes(sheet, p, item, row, column));
  }
done:
  dvg_free(&pixels);
  return status;
}

static enum dvg_status draw_pairs(struct dvg_sheet **sheet, const char *folder, const struct dvg_inspect *s) {
  struct pairs p = {.n_domains = 0};
  DVG_TRY(dvg_shard_reader_open(&p.set, folder, "pairs", DVG_PAIRS_VERSION));
  int64_t n_items = dvg_shard_reader_items(p.set);
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_ledger_read(&p.ledger, p.set, folder));
  DVG_TRY_GOTO(dvg_artifact_each(dvg_shard_reader_first(p.set), take_pair_dataset, &p));
  if (p.n_domains == 0) status = dvg_fail(DVG_ERROR_INPUT, "%s: has no images (datasets image_DOMAIN)", folder);
  else if (s->first >= n_items)
    status = dvg_fail(DVG_ERROR_USAGE, "--first %lld: %s has %lld pairs", (long long)s->first, folder,
                      (long long)n_items);
  if (status != DVG_OK) goto done;
  int64_t first = dvg_ledger_before(&p.ledger, s->first), n = p.ledger.n_written - first;
  if (n > s->rows * s->columns) n = s->rows * s->columns;
  if (n == 0) {
    status = dvg_fail(DVG_ERROR_USAGE, "--first %lld: %s has rejected pairs only from there on",
                      (long long)s->first, folder);
    goto done;
  }
  int64_t columns = cut(n < s->columns ? n : s->columns, dvg_sheet_most(p.W) / p.n_domains, "pairs in a row");
  int64_t rows = cut((n + columns - 1) / columns, dvg_sheet_most(p.H), "rows");
  if (rows * columns < n) n = rows * columns;
  char title[256];
  snprintf(title, sizeof title, "%.100s: pairs %lld to %lld of %lld%s", dvg_path_name(folder),
           (long long)dvg_ledger_item(&p.ledger, first), (long long)dvg_ledger_item(&p.ledger, first + n - 1),
           (long long)n_items, p.n_scores ? "   id: cosine to the identity, cos: within the pair" : "");
  DVG_TRY_GOTO(dvg_sheet_create(sheet, rows, columns * p.n_domains, p.H, p.W, title));
  status = fill_pairs(*sheet, &p, first, n, columns);
done:
  dvg_shard_reader_close(&p.set);
  dvg_ledger_free(&p.ledger);
  return status;
}

enum dvg_status dvg_contact_pairs(const char *folder, const struct dvg_inspect *s) {
  struct dvg_sheet *sheet = NULL;
  enum dvg_status status = draw_pairs(&sheet, folder, s);
  if (status == DVG_OK) status = dvg_sheet_write(sheet, s->sheet);
  dvg_sheet_free(&sheet);
  return status;
}

enum dvg_status dvg_contact_pairs_png(unsigned char **bytes, size_t *n_bytes, const char *folder,
                                      const struct dvg_inspect *s) {
  struct dvg_sheet *sheet = NULL;
  enum dvg_status status = draw_pairs(&sheet, folder, s);
  if (status == DVG_OK) status = dvg_sheet_encode(sheet, bytes, n_bytes);
  dvg_sheet_free(&sheet);
  return status;
}
