#include "stages/evaluate/scores.h"

#include <cblas.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "mpi/distribute.h"

enum { ROWS = DVG_TILE_PROBES, COLUMNS = DVG_TILE_GALLERY, LANES = 4 };

// tile (ROWS, COLUMNS) = cosines of the probes from `probe`, the start of a tile, with a tile of the gallery.
static void compute_tile(float *tile, const struct dvg_protocol *p, int64_t probe, const float *gallery) {
  const int width = (int)p->width;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, COLUMNS, width, 1,
              p->probes.embedding + probe * width, width, gallery, width, 0, tile, COLUMNS);
}

struct walk {
  const struct dvg_protocol *p;
  struct dvg_scores *s;
  float *tile, *room;     // of scores; of the gallery
  int64_t *first_genuine; // (probes + 1) where each probe's genuine scores begin in `genuine`
  int64_t *ordinal;       // (gallery) which of its person's images it is: the place of its scores there
  int64_t *seen_in;       // (people of the gallery) the last tile with one of them, counted from 1
  int64_t *genuine;       // (n_genuine) bits of the scores: integers, to be summed over ranks
  float *best;            // (probes) the best genuine score
  float *impostor;        // (COLUMNS) of one row of a tile
  int64_t (*bins)[DVG_SCORE_BINS]; // (LANES) of impostors
};

static int32_t bin(float s) {
  double at = ((double)s + 1) * (DVG_SCORE_BINS / 2);
  at = at < 0 ? 0 : at;
  at = at > DVG_SCORE_BINS - 1 ? DVG_SCORE_BINS - 1 : at;
  return (int32_t)at;
}

// First pass: collects the genuine scores of a row of a tile.
static void visit_genuine(struct walk *k, int64_t probe, int64_t column, int64_t n, const float *score) {
  const int64_t *person = k->p->gallery.person + column, own = k->p->probes.person[probe];
  if (k->first_genuine[probe] == k->first_genuine[probe + 1]) return;
  for (int64_t j = 0; j < n; j++) {
    if (person[j] != own) continue;
    uint32_t bits;
    memcpy(&bits, &score[j], sizeof bits);
    k->genuine[k->first_genuine[probe] + k->ordinal[column + j]] = bits;
  }
}

// The histogram in LANES copies, as many counters next to each other must not wait for one another.
static void add_bins(int64_t (*copy)[DVG_SCORE_BINS], const float *score, int n) {
  int32_t at[COLUMNS];
  for (int j = 0; j < n; j++) at[j] = bin(score[j]);
  for (int j = 0; j < n; j++) copy[j % LANES][at[j]]++;
}

static int count_from(const float *score, int n, float from) {
  int n_from = 0;
  for (int j = 0; j < n; j++) n_from += score[j] >= from;
  return n_from;
}

// Second pass: counts impostors, and those that are at least as similar as the best genuine image.
static void visit_impostors(struct walk *k, int64_t probe, int64_t column, int64_t n, const float *score) {
  const int64_t *person = k->p->gallery.person + column, own = k->p->probes.person[probe];
  const struct dvg_people *people = &k->s->people;
  int n_others = (int)n;
  if (own >= 0 && k->seen_in[own] == column + 1) {
    n_others = 0;
    for (int64_t j = 0; j < n; j++) {
      k->impostor[n_others] = score[j];
      n_others += person[j] != own;
    }
    score = k->impostor;
  }
  if (k->first_genuine[probe] < k->first_genuine[probe + 1])
    k->s->place[probe] += count_from(score, n_others, k->best[probe]);
  add_bins(k->bins, score, n_others);
  dvg_tally_add(&k->s->tally, score, n_others,
                people->impostor + k->p->probe_number[probe] * (people->n_knots + 1), people->knots_at);
}

// Whether a tile has genuine scores, after mark_people of its part of the gallery.
static int has_genuine(const struct walk *k, int64_t probe, int64_t column) {
  for (int64_t i = probe; i < probe + ROWS && i < k->p->probes.n; i++)
    if (k->p->probes.person[i] >= 0 && k->seen_in[k->p->probes.person[i]] == column + 1) return 1;
  return 0;
}

static void mark_people(struct walk *k, int64_t column, int64_t n) {
  for (int64_t j = column; j < column + n; j++) k->seen_in[k->p->gallery.person[j]] = column + 1;
}

// A pass over this rank's tiles: a run of all of them, those of one part of the gallery behind each other. So few ranks
// read the same part, and small galleries give all ranks work too. `genuine`: tiles with genuine scores only.
static enum dvg_status walk_tiles(struct walk *k, const struct dvg_world *w, int genuine) {
  const int64_t n_probes = k->p->probes.n, n_gallery = k->p->gallery.n, high = (n_probes + ROWS - 1) / ROWS;
  const int64_t n_tiles = (n_gallery + COLUMNS - 1) / COLUMNS * high;
  const int64_t first = (int64_t)((__int128)n_tiles * w->rank / w->size),
                end = (int64_t)((__int128)n_tiles * (w->rank + 1) / w->size);
  const float *gallery = NULL;
  for (int64_t t = first; t < end; t++) {
    const int64_t column = t / high * COLUMNS, probe = t % high * ROWS;
    const int64_t n = n_gallery - column < COLUMNS ? n_gallery - column : COLUMNS;
    if (dvg_world_stop_flag()) return DVG_STOPPED;
    if (t == first || probe == 0) {
      DVG_TRY(dvg_protocol_gallery_tile(&gallery, k->room, k->p, column, genuine));
      mark_people(k, column, n);
    }
    if (genuine && !has_genuine(k, probe, column)) continue;
    compute_tile(k->tile, k->p, probe, gallery);
    for (int64_t i = 0; i < ROWS && probe + i < n_probes; i++)
      (genuine ? visit_genuine : visit_impostors)(k, probe + i, column, n, k->tile + i * COLUMNS);
  }
  return DVG_OK;
}

static enum dvg_status walk_create(struct walk *k) {
  const struct dvg_protocol *p = k->p;
  DVG_TRY(DVG_NEW(&k->tile, ROWS * COLUMNS, "a tile of scores"));
  DVG_TRY(DVG_NEW(&k->first_genuine, p->probes.n + 1, "genuine scores"));
  DVG_TRY(dvg_alloc((void **)&k->room, COLUMNS, (size_t)p->width * sizeof(float), "a tile of the gallery"));
  DVG_TRY(DVG_NEW(&k->ordinal, p->gallery.n, "images of people"));
  DVG_TRY(DVG_NEW(&k->seen_in, p->n_gallery_numbers, "people of the gallery"));
  DVG_TRY(DVG_NEW(&k->genuine, p->n_genuine, "genuine scores"));
  DVG_TRY(DVG_NEW(&k->best, p->probes.n, "genuine scores"));
  DVG_TRY(DVG_NEW(&k->impostor, COLUMNS, "impostor scores"));
  DVG_TRY(DVG_NEW(&k->bins, LANES, "histograms"));
  DVG_TRY(DVG_NEW(&k->s->place, p->probes.n, "places"));
  for (int64_t i = 0; i < p->probes.n; i++) {
    int64_t own = p->probes.person[i];
    k->first_genuine[i + 1] = k->first_genuine[i] + (own < 0 ? 0 : p->gallery_images[own]);
  }
  for (int64_t j = 0; j < p->gallery.n; j++) k->ordinal[j] = k->seen_in[p->gallery.person[j]]++;
  memset(k->seen_in, 0, (size_t)p->n_gallery_numbers * sizeof *k->seen_in);
  return DVG_OK;
}

static void walk_free(struct walk *k) {
  dvg_free(&k->tile);
  dvg_free(&k->first_genuine);
  dvg_free(&k->room);
  dvg_free(&k->ordinal);
  dvg_free(&k->seen_in);
  dvg_free(&k->genuine);
  dvg_free(&k->best);
  dvg_free(&k->impostor);
  dvg_free(&k->bins);
}

// The genuine scores of each person.
static void share_genuine(struct walk *k, const float *score) {
  struct dvg_people *people = &k->s->people;
  for (int64_t i = 0; i < k->p->probes.n; i++) {
    int64_t *of_person = people->genuine + k->p->probe_number[i] * (people->n_knots + 1);
    for (int64_t j = k->first_genuine[i]; j < k->first_genuine[i + 1]; j++)
      of_person[people->knots_at[dvg_tally_reached(&k->s->tally, score[j])]]++;
  }
}

// After all places are known.
static void finish_people(struct dvg_scores *s, const struct dvg_protocol *p) {
  for (int64_t i = 0; i < p->probes.n; i++) {
    s->people.asked[p->probe_number[i]] += s->place[i] > 0;
    s->people.right[p->probe_number[i]] += s->place[i] == 1;
  }
  dvg_people_finish(&s->people);
}

// Between the passes: the genuine scores of all ranks into tally, histogram and each probe's best one.
static enum dvg_status take_genuine(struct walk *k, const struct dvg_world *w) {
  int64_t n = k->p->n_genuine;
  float *score = NULL;
  DVG_TRY(DVG_NEW(&score, n, "genuine scores"));
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits = (uint32_t)k->genuine[i];
    memcpy(&score[i], &bits, sizeof bits);
    k->s->genuine_bins[bin(score[i])]++;
  }
  for (int64_t i = 0; i < k->p->probes.n; i++) {
    int64_t first = k->first_genuine[i], end = k->first_genuine[i + 1];
    if (first == end) continue;
    k->best[i] = score[first];
    for (int64_t j = first; j < end; j++)
      if (score[j] > k->best[i]) k->best[i] = score[j];
    k->s->place[i] = w->rank == 0; // the 1 of one rank: places are summed
  }
  enum dvg_status status = dvg_tally_create(&k->s->tally, score, n);
  if (status == DVG_OK) status = dvg_people_create(&k->s->people, &k->s->tally, k->p->n_probe_people);
  if (status == DVG_OK) share_genuine(k, score);
  dvg_free(&score);
  return status;
}

enum dvg_status dvg_scores_create(struct dvg_scores *s, const struct dvg_world *w,
                                  const struct dvg_protocol *p) {
  *s = (struct dvg_scores){.place = NULL};
  struct walk k = {.p = p, .s = s};
  enum dvg_status status = walk_create(&k);
  if (status == DVG_OK) status = walk_tiles(&k, w, 1);
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  dvg_world_sum(w, k.genuine, p->n_genuine);
  DVG_TRY_GOTO(dvg_world_agree(w, take_genuine(&k, w)));
  DVG_TRY_GOTO(dvg_world_agree(w, walk_tiles(&k, w, 0)));
  dvg_world_sum(w, s->tally.impostor, dvg_tally_counters(&s->tally));
  dvg_world_sum(w, s->place, p->probes.n);
  for (int lane = 0; lane < LANES; lane++)
    for (int b = 0; b < DVG_SCORE_BINS; b++) s->impostor_bins[b] += k.bins[lane][b];
  dvg_world_sum(w, s->impostor_bins, DVG_SCORE_BINS);
  dvg_world_sum(w, s->people.impostor, s->people.n * (s->people.n_knots + 1));
  dvg_tally_finish(&s->tally);
  finish_people(s, p);
  if (s->tally.n_impostor != p->n_impostor)
    status = dvg_fail(DVG_ERROR_INTERNAL, "%lld impostor scores were counted, there are %lld",
                      (long long)s->tally.n_impostor, (long long)p->n_impostor);
done:
  walk_free(&k);
  if (status != DVG_OK) dvg_scores_free(s);
  return status;
}

void dvg_scores_free(struct dvg_scores *s) {
  dvg_tally_free(&s->tally);
  dvg_people_free(&s->people);
  dvg_free(&s->place);
}

// ---- storing

struct store {
  struct dvg_artifact *a;
  const char *name;
  const struct dvg_protocol *p;
  float *tile, *room;
};

static enum dvg_status compute_rows(void *records, int64_t first, int64_t count, void *context) {
  struct store *st = context;
  float *row = records;
  int64_t n_gallery = st->p->gallery.n;
  for (int64_t column = 0; column < n_gallery; column += COLUMNS) {
    const float *gallery;
    DVG_TRY(dvg_protocol_gallery_tile(&gallery, st->room, st->p, column, 0));
    compute_tile(st->tile, st->p, first, gallery);
    int64_t n = n_gallery - column < COLUMNS ? n_gallery - column : COLUMNS;
    for (int64_t i = 0; i < count; i++)
      memcpy(row + i * n_gallery + column, st->tile + i * COLUMNS, (size_t)n * sizeof *row);
  }
  return DVG_OK;
}

static enum dvg_status append_rows(int64_t first, int64_t count, const void *records, void *context) {
  (void)first;
  struct store *st = context;
  return dvg_artifact_append(st->a, st->name, count, records);
}

enum dvg_status dvg_scores_store(struct dvg_artifact *a, const char *name, const struct dvg_world *w,
                                 const struct dvg_protocol *p) {
  struct store st = {.a = a, .name = name, .p = p};
  enum dvg_status status = DVG_NEW(&st.tile, ROWS * COLUMNS, "a tile of scores");
  if (status == DVG_OK)
    status = dvg_alloc((void **)&st.room, COLUMNS, (size_t)p->width * sizeof(float), "a tile of the gallery");
  struct dvg_ordered_work work = {.n_items = p->probes.n,
                                  .block = ROWS,
                                  .record_bytes = (size_t)p->gallery.n * sizeof(float),
                                  .compute = compute_rows,
                                  .consume = append_rows,
                                  .context = &st};
  status = dvg_world_agree(w, status);
  if (status == DVG_OK) status = dvg_distribute_ordered(w, &work);
  dvg_free(&st.tile);
  dvg_free(&st.room);
  return status;
}
