// The toy world: pictures are pure functions of their numbers, truth fits them, no factor breaks them.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/toy/face.h"
#include "tests/check.h"

enum { SIZE = 72, BYTES = SIZE * SIZE * 3 };

static void same_bytes_in_any_order(void) {
  static unsigned char first[DVG_TOY_N_DOMAINS][BYTES], again[BYTES];
  for (int d = 0; d < DVG_TOY_N_DOMAINS; d++)
    CHECK_OK(dvg_toy_picture(first[d], (enum dvg_toy_domain)d, SIZE, 3, 17, 4));
  for (int d = DVG_TOY_N_DOMAINS - 1; d >= 0; d--) {
    CHECK_OK(dvg_toy_picture(again, (enum dvg_toy_domain)d, SIZE, 9, 2, 1)); // something else between
    CHECK_OK(dvg_toy_picture(again, (enum dvg_toy_domain)d, SIZE, 3, 17, 4));
    CU_ASSERT_EQUAL(memcmp(first[d], again, BYTES), 0);
  }
}

static void every_number_counts(void) {
  static unsigned char a[BYTES], b[BYTES];
  for (int d = 0; d < DVG_TOY_N_DOMAINS; d++) {
    enum dvg_toy_domain domain = (enum dvg_toy_domain)d;
    CHECK_OK(dvg_toy_picture(a, domain, SIZE, 3, 17, 4));
    CHECK_OK(dvg_toy_picture(b, domain, SIZE, 4, 17, 4));
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, BYTES), 0);
    CHECK_OK(dvg_toy_picture(b, domain, SIZE, 3, 18, 4));
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, BYTES), 0);
    CHECK_OK(dvg_toy_picture(b, domain, SIZE, 3, 17, 5));
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, BYTES), 0);
    CHECK_OK(dvg_toy_picture(b, (enum dvg_toy_domain)((d + 1) % DVG_TOY_N_DOMAINS), SIZE, 3, 17, 4));
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, BYTES), 0);
  }
}

// Every factor that is not usually at an end of its range differs between people; no two people are alike.
static void people_differ(void) {
  enum { PEOPLE = 300 };
  static float v[PEOPLE][dvg_toy_n_identity_factors];
  for (int i = 0; i < PEOPLE; i++) {
    struct dvg_toy_identity id, again;
    dvg_toy_identity_of(&id, 1, i);
    dvg_toy_identity_of(&again, 1, i);
    CU_ASSERT_EQUAL(memcmp(&id, &again, sizeof(id)), 0);
    dvg_toy_identity_values(v[i], &id);
  }
  for (int k = 0; k < dvg_toy_n_identity_factors; k++) {
    const struct dvg_toy_factor *f = &dvg_toy_identity_factors[k];
    float least = v[0][k], largest = v[0][k];
    for (int i = 0; i < PEOPLE; i++) {
      CU_ASSERT(v[i][k] >= f->least && v[i][k] <= f->largest);
      least = fminf(least, v[i][k]);
      largest = fmaxf(largest, v[i][k]);
    }
    CU_ASSERT(largest - least > f->deviation); // no dead factor
  }
  for (int i = 0; i < PEOPLE; i++)
    for (int j = 0; j < i; j++) {
      float distance = 0; // in standard deviations
      for (int k = 0; k < dvg_toy_n_identity_factors; k++)
        distance += powf((v[i][k] - v[j][k]) / dvg_toy_identity_factors[k].deviation, 2);
      CU_ASSERT(distance > 20);
    }
}

static void attributes_differ(void) {
  enum { IMAGES = 200 };
  int with_glasses = 0;
  for (int k = 0; k < dvg_toy_n_attribute_factors; k++) {
    const struct dvg_toy_factor *f = &dvg_toy_attribute_factors[k];
    float least = INFINITY, largest = -INFINITY;
    for (int i = 0; i < IMAGES; i++) {
      struct dvg_toy_attributes a;
      float v[dvg_toy_n_attribute_factors];
      dvg_toy_attributes_of(&a, 1, 5, i);
      dvg_toy_attribute_values(v, &a);
      CU_ASSERT(v[k] >= f->least && v[k] <= f->largest);
      least = fminf(least, v[k]);
      largest = fmaxf(largest, v[k]);
      if (k == 0) with_glasses += a.glasses > .5f;
    }
    CU_ASSERT(largest - least > .5f * f->deviation);
  }
  CU_ASSERT(with_glasses > IMAGES / 10 && with_glasses < IMAGES / 3);
}

static void check_names(const struct dvg_toy_factor *f, int n) {
  for (int i = 0; i < n; i++) {
    CU_ASSERT(f[i].name[0] && strlen(f[i].name) < 32);
    CU_ASSERT(f[i].least < f[i].largest && f[i].deviation > 0);
    for (int j = 0; j < i; j++) CU_ASSERT(strcmp(f[i].name, f[j].name) != 0);
  }
}

static void tables_name_the_fields(void) {
  CU_ASSERT(dvg_toy_n_identity_factors >= 40);
  CU_ASSERT_EQUAL(sizeof(struct dvg_toy_identity), dvg_toy_n_identity_factors * sizeof(float));
  CU_ASSERT_EQUAL(sizeof(struct dvg_toy_attributes), dvg_toy_n_attribute_factors * sizeof(float));
  check_names(dvg_toy_identity_factors, dvg_toy_n_identity_factors);
  check_names(dvg_toy_attribute_factors, dvg_toy_n_attribute_factors);
  struct dvg_toy_identity id;
  float v[dvg_toy_n_identity_factors];
  dvg_toy_identity_of(&id, 1, 2);
  dvg_toy_identity_values(v, &id);
  CU_ASSERT_STRING_EQUAL(dvg_toy_identity_factors[0].name, "head_width");
  CU_ASSERT_EQUAL(v[0], id.head_width);
  CU_ASSERT_EQUAL(v[dvg_toy_n_identity_factors - 1], id.heat_vessels);
  CU_ASSERT_STRING_EQUAL(dvg_toy_domain_name(DVG_TOY_SKETCH), "SKETCH");
  CU_ASSERT_PTR_NULL(dvg_toy_domain_name(DVG_TOY_N_DOMAINS));
}

// The aligner's convention: eyes' midpoint at (72, 48), mouth's 48 below, eyes level, but for its error.
static void landmarks_follow_the_convention(void) {
  for (int i = 0; i < 200; i++) {
    struct dvg_toy_identity id;
    struct dvg_toy_attributes a;
    float p[10], half[10];
    dvg_toy_identity_of(&id, 1, i);
    dvg_toy_attributes_of(&a, 1, i, 3);
    dvg_toy_landmarks(p, &id, &a, 144);
    dvg_toy_landmarks(half, &id, &a, 72);
    for (int k = 0; k < 10; k++) {
      CU_ASSERT(p[k] > 0 && p[k] < 144);
      CU_ASSERT(fabsf(p[k] - 2 * half[k]) < 1e-3f);
    }
    CU_ASSERT(p[0] < p[2] && p[6] < p[8] && p[0] < p[4] && p[4] < p[2]);
    CU_ASSERT(p[5] > p[1] && p[5] < p[7]);
    a.roll = a.shift_x = a.shift_y = 0;
    a.scale = 1;
    dvg_toy_landmarks(p, &id, &a, 144);
    CU_ASSERT(fabsf(.5f * (p[0] + p[2]) - 72) < .01f);
    CU_ASSERT(fabsf(.5f * (p[1] + p[3]) - 48) < .01f);
    CU_ASSERT(fabsf(p[1] - p[3]) < .01f);
    CU_ASSERT(fabsf(hypotf(.5f * (p[6] + p[8]) - 72, .5f * (p[7] + p[9]) - 48) - 48) < .01f);
  }
}

// Where the truth says an eye is, the picture has one: an eye (iris, lashes) is darker than the cheek below it.
static void landmarks_are_in_the_picture(void) {
  static unsigned char rgb[144 * 144 * 3];
  int seen = 0, looked = 0;
  for (int i = 0; i < 40; i++) {
    struct dvg_toy_identity id;
    struct dvg_toy_attributes a;
    float p[10];
    dvg_toy_identity_of(&id, 1, i);
    dvg_toy_attributes_of(&a, 1, i, 0);
    id.skin_tone = .2f;
    a.glasses = 0;
    a.light_side = a.eye_closure = 0;
    dvg_toy_landmarks(p, &id, &a, 144);
    CHECK_OK(dvg_toy_render(rgb, &id, &a, DVG_TOY_VIS, 144, 1, i, 0));
    for (int e = 0; e < 2; e++, looked++) {
      int x = (int)p[2 * e], y = (int)p[2 * e + 1], eye = 255, cheek = 255;
      for (int dy = -3; dy <= 3; dy++)
        for (int dx = -6; dx <= 6; dx++) {
          int at = rgb[3 * ((y + dy) * 144 + x + dx) + 1], below = rgb[3 * ((y + 24 + dy) * 144 + x + dx) + 1];
          eye = at < eye ? at : eye;
          cheek = below < cheek ? below : cheek;
        }
      seen += eye < cheek - 25;
    }
  }
  CU_ASSERT(seen >= looked - 4);
}

static void other_domains_are_gray(void) {
  static unsigned char rgb[BYTES];
  for (int d = DVG_TOY_NIR; d < DVG_TOY_N_DOMAINS; d++)
    for (int person = 0; person < 10; person++) {
      CHECK_OK(dvg_toy_picture(rgb, (enum dvg_toy_domain)d, SIZE, 1, person, 0));
      int unequal = 0, least = 255, largest = 0;
      for (int i = 0; i < BYTES; i += 3) {
        unequal += rgb[i] != rgb[i + 1] || rgb[i] != rgb[i + 2];
        least = rgb[i] < least ? rgb[i] : least;
        largest = rgb[i] > largest ? rgb[i] : largest;
      }
      CU_ASSERT_EQUAL(unequal, 0);
      CU_ASSERT(largest - least > 80); // not an empty picture
    }
}

// Other sizes show the same frame: block means of a large picture are the small one, nearly.
static void sizes_agree(void) {
  static unsigned char large[144 * 144 * 3], small[BYTES];
  CHECK_OK(dvg_toy_picture(large, DVG_TOY_VIS, 144, 1, 3, 1));
  CHECK_OK(dvg_toy_picture(small, DVG_TOY_VIS, SIZE, 1, 3, 1));
  double error = 0;
  for (int i = 0; i < SIZE; i++)
    for (int j = 0; j < SIZE; j++)
      for (int k = 0; k < 3; k++) {
        const unsigned char *p = large + 3 * (2 * i * 144 + 2 * j) + k;
        error += fabs((p[0] + p[3] + p[3 * 144] + p[3 * 145]) / 4.0 - small[3 * (i * SIZE + j) + k]);
      }
  CU_ASSERT(error / BYTES < 6);
}

static void odd_sizes_stay_in_bounds(void) {
  static const int64_t sizes[] = {1, 2, 3, 33, 64, 71, 128, 145, 289};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    for (int d = 0; d < DVG_TOY_N_DOMAINS; d++) {
      size_t bytes = (size_t)(sizes[i] * sizes[i] * 3);
      unsigned char *rgb = malloc(bytes + 1); // malloc: the sanitizer guards its ends
      CU_ASSERT_PTR_NOT_NULL(rgb);
      if (!rgb) return;
      rgb[bytes] = 0xA5;
      CHECK_OK(dvg_toy_picture(rgb, (enum dvg_toy_domain)d, sizes[i], 1, 2, 3));
      CU_ASSERT_EQUAL(rgb[bytes], 0xA5);
      free(rgb);
    }
}

static void bad_requests_are_refused(void) {
  unsigned char rgb[3] = {1, 2, 3};
  struct dvg_toy_identity id;
  struct dvg_toy_attributes a;
  dvg_toy_identity_of(&id, 1, 0);
  dvg_toy_attributes_of(&a, 1, 0, 0);
  CU_ASSERT_EQUAL(dvg_toy_render(rgb, &id, &a, DVG_TOY_VIS, 0, 1, 0, 0), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_toy_render(rgb, &id, &a, DVG_TOY_VIS, DVG_TOY_MAX_SIZE + 1, 1, 0, 0), DVG_ERROR_USAGE);
  CU_ASSERT_EQUAL(dvg_toy_render(rgb, &id, &a, DVG_TOY_N_DOMAINS, 1, 1, 0, 0), DVG_ERROR_USAGE);
  CU_ASSERT(rgb[0] == 1 && rgb[1] == 2 && rgb[2] == 3);
}

// All factors at an end, one factor at an absurd value, NaN everywhere: pictures, not crashes.
static void extreme_factors_render(void) {
  static const float values[] = {-INFINITY, -1e30f, 0, 1e30f, INFINITY, NAN};
  static unsigned char rgb[33 * 33 * 3];
  struct dvg_toy_identity mean_id, id;
  struct dvg_toy_attributes mean_a, a;
  dvg_toy_identity_of(&mean_id, 1, 0);
  dvg_toy_attributes_of(&mean_a, 1, 0, 0);
  for (int v = 0; v < 6; v++)
    for (int d = 0; d < DVG_TOY_N_DOMAINS; d++) {
      float all_id[dvg_toy_n_identity_factors], all_a[dvg_toy_n_attribute_factors];
      for (int k = 0; k < dvg_toy_n_identity_factors; k++) all_id[k] = values[v];
      for (int k = 0; k < dvg_toy_n_attribute_factors; k++) all_a[k] = values[v];
      memcpy(&id, all_id, sizeof(id));
      memcpy(&a, all_a, sizeof(a));
      CHECK_OK(dvg_toy_render(rgb, &id, &a, (enum dvg_toy_domain)d, 33, UINT64_MAX, INT64_MAX, INT64_MAX));
    }
  for (int k = 0; k < dvg_toy_n_identity_factors; k++)
    for (int end = 0; end < 2; end++) {
      float all[dvg_toy_n_identity_factors];
      dvg_toy_identity_values(all, &mean_id);
      all[k] = end ? 1e30f : -1e30f;
      memcpy(&id, all, sizeof(id));
      CHECK_OK(dvg_toy_render(rgb, &id, &mean_a, (enum dvg_toy_domain)(k % 4), 33, 1, 0, 0));
    }
  for (int k = 0; k < dvg_toy_n_attribute_factors; k++)
    for (int end = 0; end < 2; end++) {
      float all[dvg_toy_n_attribute_factors];
      dvg_toy_attribute_values(all, &mean_a);
      all[k] = end ? 1e30f : -1e30f;
      memcpy(&a, all, sizeof(a));
      CHECK_OK(dvg_toy_render(rgb, &mean_id, &a, (enum dvg_toy_domain)(k % 4), 33, 1, 0, 0));
    }
}

// ---- the balance that makes the toy world a task: gray pixels match people within VIS somewhat, across
// domains hardly

enum { PEOPLE = 60, CROP = 64 };
static float vectors[3][PEOPLE][CROP * CROP];

static void embed(float *out, enum dvg_toy_domain domain, int person, int image) {
  static unsigned char rgb[BYTES];
  CHECK_OK(dvg_toy_picture(rgb, domain, SIZE, 7, person, image));
  double mean = 0, norm = 0;
  for (int i = 0; i < CROP; i++)
    for (int j = 0; j < CROP; j++) {
      const unsigned char *p = rgb + 3 * ((i + (SIZE - CROP) / 2) * SIZE + j + (SIZE - CROP) / 2);
      mean += out[i * CROP + j] = .299f * p[0] + .587f * p[1] + .114f * p[2];
    }
  mean /= CROP * CROP;
  for (int i = 0; i < CROP * CROP; i++) norm += (out[i] - mean) * (out[i] - mean);
  for (int i = 0; i < CROP * CROP; i++) out[i] = (float)((out[i] - mean) / sqrt(norm + 1e-9));
}

static int matched(int probes) {
  int right = 0;
  for (int i = 0; i < PEOPLE; i++) {
    int best = 0;
    float most = -2;
    for (int j = 0; j < PEOPLE; j++) {
      float c = 0;
      for (int k = 0; k < CROP * CROP; k++) c += vectors[probes][i][k] * vectors[0][j][k];
      if (c > most) most = c, best = j;
    }
    right += best == i;
  }
  return right;
}

static void pixels_match_within_and_not_across_domains(void) {
  for (int i = 0; i < PEOPLE; i++) {
    embed(vectors[0][i], DVG_TOY_VIS, i, 0);
    embed(vectors[1][i], DVG_TOY_VIS, i, 1);
    embed(vectors[2][i], DVG_TOY_THERMAL, i, 2);
  }
  int within = matched(1), across = matched(2);
  CU_ASSERT(within > PEOPLE / 8); // chance is 1 of 60
  CU_ASSERT(within < PEOPLE * 4 / 5);
  CU_ASSERT(across < within / 2);
}

const struct dvg_test dvg_tests[] = {
    {"same bytes in any order", same_bytes_in_any_order},
    {"every number counts", every_number_counts},
    {"people differ", people_differ},
    {"attributes differ", attributes_differ},
    {"tables name the fields", tables_name_the_fields},
    {"landmarks follow the convention", landmarks_follow_the_convention},
    {"landmarks are in the picture", landmarks_are_in_the_picture},
    {"other domains are gray", other_domains_are_gray},
    {"sizes agree", sizes_agree},
    {"odd sizes stay in bounds", odd_sizes_stay_in_bounds},
    {"bad requests are refused", bad_requests_are_refused},
    {"extreme factors render", extreme_factors_render},
    {"pixels match within and not across domains", pixels_match_within_and_not_across_domains},
    {NULL, NULL}};
