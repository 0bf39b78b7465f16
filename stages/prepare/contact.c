// Which images a contact sheet shows: a row a person, the same number of columns for each domain; of large
// images so many as the sheet takes.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "stages/prepare/prepare.h"

enum { MOST_ROWS = 10, MOST_COLUMNS = 12 };

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Images of each (person, domain), at most `most` counted.
static void count_images(int32_t *count, const struct dvg_prepare_set *s, int32_t most) {
  for (int64_t i = 0; i < s->N; i++) {
    int32_t *c = &count[s->identity[i] * s->n_domains + s->domain[i]];
    *c += *c < most;
  }
}

static int32_t images_shown(const int32_t *count, int64_t n_domains, int64_t person) {
  int32_t n = 0;
  for (int64_t d = 0; d < n_domains; d++) n += count[person * n_domains + d];
  return n;
}

// people[0..n) = those that fill most cells, spread evenly over all such, in ascending order; returns n.
static int64_t choose_people(int64_t people[MOST_ROWS], const int32_t *count, const struct dvg_prepare_set *s,
                             int64_t most) {
  int32_t fullest = 0;
  int64_t n_full = 0, n = 0, nth = 0;
  for (int64_t p = 0; p < s->n_people; p++) {
    int32_t shown = images_shown(count, s->n_domains, p);
    if (shown > fullest) n_full = 0;
    if (shown > fullest) fullest = shown;
    n_full += shown == fullest;
  }
  if (n_full < most && s->n_people > n_full) { // too few: the first ones, however little they fill
    for (; n < s->n_people && n < most; n++) people[n] = n;
    return n;
  }
  int64_t rows = n_full < most ? n_full : most;
  for (int64_t p = 0; p < s->n_people && n < rows; p++)
    if (images_shown(count, s->n_domains, p) == fullest && nth++ == n * n_full / rows) people[n++] = p;
  return n;
}

static void write_captions(struct dvg_sheet *sheet, const struct dvg_prepare_set *s, const int64_t *people,
                           int64_t n_rows, int64_t each) {
  for (int64_t r = 0; r < n_rows; r++) dvg_sheet_row(sheet, r, s->person[people[r]]);
  for (int64_t c = 0; c < s->n_domains * each; c++) // what is beyond the last column has no place
    dvg_sheet_column(sheet, c, s->domain_name[c / each]);
}

static int32_t most_images(const int32_t *count, int64_t n) {
  int32_t most = 1;
  for (int64_t i = 0; i < n; i++)
    if (count[i] > most) most = count[i];
  return most;
}

// cell[i] = place of image i: the k-th image of a person in a domain goes to the domain's k-th column.
static void place_images(struct dvg_prepare_writer *p, int32_t *used, const int64_t *people, int64_t n_rows,
                         int32_t each) {
  const struct dvg_prepare_set *s = p->set;
  for (int64_t i = 0; i < s->N; i++) {
    p->cell[i] = -1;
    int64_t r = 0;
    while (r < n_rows && people[r] != s->identity[i]) r++;
    if (r == n_rows) continue;
    int32_t *k = &used[r * s->n_domains + s->domain[i]];
    int64_t column = s->domain[i] * each + *k;
    if (*k >= each || column >= p->sheet_columns) continue;
    p->cell[i] = (int32_t)(r * p->sheet_columns + column);
    ++*k;
  }
}

enum dvg_status dvg_prepare_lay_out(struct dvg_prepare_writer *p, const char *title) {
  const struct dvg_prepare_set *s = p->set;
  int32_t *count = NULL, *used = NULL;
  int64_t people[MOST_ROWS];
  int64_t most_rows = least(MOST_ROWS, dvg_sheet_most(s->H));
  int64_t most_columns = least(MOST_COLUMNS, dvg_sheet_most(s->W));
  int32_t each = s->n_domains < most_columns ? (int32_t)(most_columns / s->n_domains) : 1;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&p->cell, s->N, "places in the sheet"));
  DVG_TRY_GOTO(DVG_NEW(&count, s->n_people * s->n_domains, "images of people"));
  DVG_TRY_GOTO(DVG_NEW(&used, MOST_ROWS * s->n_domains, "cells in use"));
  count_images(count, s, each);
  int32_t most = most_images(count, s->n_people * s->n_domains);
  if (each > most) each = most;
  int64_t n_rows = choose_people(people, count, s, most_rows);
  p->sheet_columns = least(s->n_domains * each, dvg_sheet_most(s->W)); // large images: not even every domain
  DVG_TRY_GOTO(dvg_sheet_create(&p->sheet, n_rows, p->sheet_columns, s->H, s->W, title));
  write_captions(p->sheet, s, people, n_rows, each);
  place_images(p, used, people, n_rows, each);
done:
  dvg_free(&count);
  dvg_free(&used);
  return status;
}
