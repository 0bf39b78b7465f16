// Light on the surfaces: soft diffuse light that bleeds under the skin, cast shadows, darker hollows, a sheen.
#include "common/toy/scene.h"

static int64_t inside(int64_t i, int64_t n) {
  return i < 0 ? 0 : i >= n ? n - 1 : i;
}

// Box filters of 2 r + 1 samples and a share `part` of the two next to them; the image's edge continues
// outwards.
static void box_across(float *out, const float *in, int64_t n, int64_t r, float part) {
  float scale = 1 / ((float)(2 * r + 1) + 2 * part);
  for (int64_t row = 0; row < n; row++, in += n, out += n) {
    float sum = 0;
    for (int64_t i = -r; i <= r; i++) sum += in[inside(i, n)];
    for (int64_t i = 0; i < n; i++) {
      int far = i > r && i + r + 1 < n; // from both ends
      float next = in[far ? i + r + 1 : inside(i + r + 1, n)],
            before = in[far ? i - r - 1 : inside(i - r - 1, n)];
      out[i] = (sum + part * (next + before)) * scale;
      sum += next - in[far ? i - r : inside(i - r, n)];
    }
  }
}

static void box_down(float *out, const float *in, float *sum, int64_t n, int64_t r, float part) {
  float scale = 1 / ((float)(2 * r + 1) + 2 * part);
  for (int64_t j = 0; j < n; j++) sum[j] = 0;
  for (int64_t i = -r; i <= r; i++)
    for (int64_t j = 0; j < n; j++) sum[j] += in[inside(i, n) * n + j];
  for (int64_t i = 0; i < n; i++) {
    const float *next = in + inside(i + r + 1, n) * n, *before = in + inside(i - r - 1, n) * n;
    const float *drop = in + inside(i - r, n) * n;
    for (int64_t j = 0; j < n; j++) {
      out[i * n + j] = (sum[j] + part * (next[j] + before[j])) * scale;
      sum[j] += next[j] - drop[j];
    }
  }
}

void dvg_toy_blur(float *image, float *work, int64_t n, float radius) {
  if (!(radius > .05f)) return;
  // Three boxes of half width h have the variance h (h + 1), give or take the ends' share.
  float half = sqrtf(radius * radius + .25f) - .5f;
  int64_t r = (int64_t)half;
  for (int pass = 0; pass < 3; pass++) {
    box_across(work, image, n, r, half - (float)r);
    box_down(image, work, work + n * n, n, r, half - (float)r);
  }
}

// Slope without the cliffs where one thing hides another: the gentler of both sides.
static float slope(float before, float here, float after) {
  float a = here - before, b = after - here;
  if (fabsf(a) > 6 || fabsf(b) > 6) return fabsf(a) < fabsf(b) ? a : b;
  return .5f * (a + b);
}

// The way from a sample towards the light, once per picture: where to look for what stands in it.
enum { N_STEPS = 6 };
struct ray {
  int n; // 0: the light comes from the camera
  int64_t dx[N_STEPS], dy[N_STEPS], offset[N_STEPS];
  float climb[N_STEPS], soft[N_STEPS];
  float half[3]; // between the light's direction and the camera's
};

static struct ray ray_of(const struct scene *s, int64_t n) {
  static const float steps[N_STEPS] = {3, 6, 10, 15, 22, 30};
  const float *L = s->light.direction;
  struct ray r = {.n = 0};
  float flat = sqrtf(L[0] * L[0] + L[1] * L[1]), inv = 1 / sqrtf(L[0] * L[0] + L[1] * L[1] + square(L[2] + 1));
  for (int k = 0; k < 3; k++) r.half[k] = (L[k] + (k == 2)) * inv;
  if (flat < .05f || s->light.shadow <= 0) return r;
  r.n = N_STEPS;
  for (int k = 0; k < N_STEPS; k++) {
    r.dx[k] = (int64_t)(L[0] / flat * steps[k] / s->px);
    r.dy[k] = (int64_t)(L[1] / flat * steps[k] / s->px);
    r.offset[k] = r.dy[k] * n + r.dx[k];
    r.climb[k] = steps[k] * L[2] / flat;
    r.soft[k] = 1 / (2 + .22f * steps[k]);
  }
  return r;
}

// How much of the light the surfaces on its way cover, 0..1.
static float shadow_at(const struct ray *r, const float *z, int64_t n, int64_t i, int64_t j) {
  float covered = 0;
  const float *here = z + i * n + j;
  for (int k = 0; k < r->n; k++) {
    if ((uint64_t)(j + r->dx[k]) >= (uint64_t)n || (uint64_t)(i + r->dy[k]) >= (uint64_t)n) break;
    covered = maxf(covered, (here[r->offset[k]] - *here - r->climb[k]) * r->soft[k]);
  }
  return minf(covered, 1);
}

static void light_sample(const struct scene *s, const struct canvas *c, const struct ray *ray, int64_t i,
                         int64_t j, float hollow) {
  const struct light *l = &s->light;
  int64_t n = c->n, at = i * n + j;
  const float *z = c->z;
  float gx = slope(z[j > 0 ? at - 1 : at], z[at], z[j + 1 < n ? at + 1 : at]) / s->px;
  float gy = slope(z[i > 0 ? at - n : at], z[at], z[i + 1 < n ? at + n : at]) / s->px;
  float limit = 1 / sqrtf(1 + .2f * (gx * gx + gy * gy)); // the dome's rim would be a black line
  gx *= limit;
  gy *= limit;
  float inv = 1 / sqrtf(1 + gx * gx + gy * gy), nx = -gx * inv, ny = -gy * inv, nz = inv;
  float lambert = nx * l->direction[0] + ny * l->direction[1] + nz * l->direction[2];
  float lit = 1 - l->shadow * shadow_at(ray, z, n, i, j), cavity = clampf(1 - l->cavity * hollow, .55f, 1.12f);
  float fx = ((float)j + .5f) * s->px / DVG_TOY_FRAME - .5f,
        fy = ((float)i + .5f) * s->px / DVG_TOY_FRAME - .5f;
  float fall = 1;
  if (l->falloff > 0) // the flash is near, and the lens darkens its corners
    fall = clampf(1 + l->falloff * (z[at] - 40), .25f, 1.2f) * (1 - .75f * (fx * fx + fy * fy));
  float gloss = 0;
  if (c->gloss[at] > .01f) {
    float nh = maxf(nx * ray->half[0] + ny * ray->half[1] + nz * ray->half[2], 0);
    float p4 = square(square(nh)), p16 = square(square(p4));
    gloss = l->gloss * c->gloss[at] * lit * (.55f * p16 + .25f * p4 * p4) * .5f;
  }
  struct surface back = {.c = {0, 0, 0}};
  float alpha = c->alpha[at], thin = 1 - alpha, thick = 1 / maxf(alpha, 1e-3f);
  if (thin > 0) dvg_toy_paint_background(s, &back, ((float)j + .5f) * s->px, ((float)i + .5f) * s->px);
  for (int k = 0; k < 3; k++) {
    float own = thin > 0 ? maxf(c->rgb[3 * at + k] - thin * back.c[k], 0) * thick : c->rgb[3 * at + k];
    float wrapped = maxf((lambert + l->wrap[k]) / (1 + l->wrap[k]), 0);
    float sky = l->ambient[k] * (.75f - .25f * ny);
    float in = (sky + l->colour[k] * wrapped * lit) * cavity;
    c->rgb[3 * at + k] = alpha * (own * in + gloss * l->colour[k]) * fall + thin * back.c[k];
  }
}

void dvg_toy_light(const struct scene *s, const struct canvas *c) {
  int64_t n = c->n;
  float *smoothed = c->work;
  struct ray ray = ray_of(s, n);
  // Hollows: below the neighbourhood's mean height. What is far behind does not count.
  for (int64_t i = 0; i < n * n; i++) smoothed[i] = maxf(c->z[i], -12);
  dvg_toy_blur(smoothed, c->work + n * n, n, 4 / s->px);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      int64_t at = i * n + j;
      float hollow = smoothed[at] - maxf(c->z[at], -12);
      if (!(c->alpha[at] > 0)) continue; // the background has its own light
      light_sample(s, c, &ray, i, j, hollow);
    }
}
