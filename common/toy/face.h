// The toy world: a procedural renderer of faces with known truth, in four domains. It stands in for the
// licensed photo pairs wherever somebody judges or tests the pipeline without them.
//
// A picture is a pure function of (seed, person, image, domain). Identity factors belong to the person,
// attribute factors to the person's image: the same (person, image) in two domains is a pair that shares
// everything but the domain; give distinct image numbers for unpaired pictures. No I/O, no state, safe to call
// from several threads.
//
// Lengths are in frame pixels: pixels of the recogniser's 144 x 144 frame, in which the eyes' midpoint is at
// (72, 48) and the mouth's is 48 below it (a 128 centre crop then has the eyes at y = 40). Other sizes show the
// same frame, scaled. x grows to the right and y downwards as seen in the image; "left" is the image's left.
#ifndef DVG_TOY_FACE_H
#define DVG_TOY_FACE_H

#include <stdint.h>

#include "common/base/status.h"

enum dvg_toy_domain { DVG_TOY_VIS, DVG_TOY_NIR, DVG_TOY_SKETCH, DVG_TOY_THERMAL, DVG_TOY_N_DOMAINS };

// "VIS", "NIR", "SKETCH", "THERMAL"; NULL for another number.
const char *dvg_toy_domain_name(enum dvg_toy_domain domain);

#define DVG_TOY_FRAME 144 // the frame that lengths refer to
#define DVG_TOY_MAX_SIZE 2048
#define DVG_TOY_MAX_PERSONS (INT64_C(1) << 43)
#define DVG_TOY_MAX_IMAGES                                                                                     \
  (INT64_C(1) << 20) // images of a person: a picture's random item is person * 2^20 + image

// Identity factors: F(name, mean, standard deviation, least, largest, loadings on the three hidden traits
// (masculinity, darker ancestry, age), share of the deviation from the mean that a sketch artist exaggerates).
// The rest of the unit variance is the factor's own. Factors that are not normal are reworked in identity.c.
// clang-format off
#define DVG_TOY_IDENTITY_FACTORS(F)                                                                                  \
  /* head: half widths at the cheekbones; at temples, jaw and chin as shares of that; heights against the eyes */    \
  F(head_width,        51.5,  2.5,  44,   60,    .35,  .0,   .1,  1)                                                 \
  F(temple_width,      .93,   .026, .85,  1.0,   .0,   .0,  -.1,  1)                                                 \
  F(jaw_width,         .79,   .05,  .66,  .94,   .45,  .0,   .2,  1)                                                 \
  F(jaw_height,        50,    3.0,  41,   58,    .2,   .0,   .2,  1)                                                 \
  F(chin_height,       81,    3.0,  73,   91,    .4,   .0,   .1,  1)                                                 \
  F(chin_width,        .36,   .055, .22,  .52,   .45,  .0,   .1,  1)                                                 \
  F(chin_size,         4.5,   1.6,  0,    9,     .3,   .0,   .0,  1)                                                 \
  F(chin_cleft,        .0,    .8,   -1,   2.5,   .25,  .0,   .0,  0)                                                 \
  F(cheekbone,         4.5,   1.5,  0,    9,    -.1,   .0,  -.2,  1)                                                 \
  F(cheek_fullness,    0,     1,    -2.5, 2.5,  -.2,   .1,   .0,  1)                                                 \
  F(forehead_bulge,    2,     1.2,  -1,   6,    -.2,   .0,   .0,  0)                                                 \
  F(neck_width,        .62,   .06,  .46,  .82,   .6,   .0,   .1,  0)                                                 \
  F(asymmetry,         0,     .8,   -2.4, 2.4,   .0,   .0,   .0,  1)                                                 \
  /* ears */                                                                                                         \
  F(ear_size,          15,    1.8,  10,   21,    .2,   .0,   .5,  1)                                                 \
  F(ear_out,           3.6,   1.4,  .3,   8,     .1,   .0,   .1,  1)                                                 \
  F(ear_height,        16,    2.5,  8,    24,    .0,   .0,   .1,  0)                                                 \
  /* eyes: distance of the centres, half width, opening, slant (radians, outer corner up) */                         \
  F(eye_distance,      43,    2.0,  37,   49,    .1,   .1,   .0,  1)                                                 \
  F(eye_size,          11.2,  .75,  8.8,  13.6,  -.3,   .0,  -.1,  1)                                                 \
  F(eye_opening,       .345,  .05,  .20,  .50,  -.25, -.1,  -.3,  1)                                                 \
  F(eye_slant,         .03,   .07,  -.2,  .25,  -.1,   .2,  -.2,  1)                                                 \
  F(eye_depth,         4.5,   1.3,  .5,   9,     .35, -.2,   .2,  0)                                                 \
  F(eyelid_fold,       2.6,   1.0,  0,    6,    -.1,  -.3,  -.3,  0)                                                 \
  F(eye_bags,          .5,    .5,   0,    2.2,   .1,   .0,   .6,  0)                                                 \
  F(iris_size,         5.0,   .3,   4.1,  6.0,   .0,   .0,  -.1,  0)                                                 \
  F(iris_dark,         .55,   .28,  0,    1,     .0,   .7,   .0,  0)                                                 \
  F(iris_green,        .4,    .3,   0,    1,     .0,  -.1,   .0,  0)                                                 \
  F(lashes,            1.0,   .3,   .3,   2,    -.5,   .0,  -.2,  0)                                                 \
  /* brows */                                                                                                        \
  F(brow_height,       14.0,  1.7,  9.5,  19,   -.4,   .0,   .0,  1)                                                 \
  F(brow_thickness,    2.1,   .6,   .8,   4.2,   .5,   .0,   .0,  1)                                                 \
  F(brow_slant,        .04,   .09,  -.25, .3,    .0,   .0,   .0,  1)                                                 \
  F(brow_arch,         2.6,   1.2,  -.5,  6.5,  -.4,   .0,   .0,  1)                                                 \
  F(brow_length,       21,    1.8,  16,   27,    .1,   .0,   .0,  1)                                                 \
  F(brow_gap,          8.5,   1.7,  3,    13,   -.25,  .0,   .0,  1)                                                 \
  F(brow_density,      .78,   .14,  .3,   1,     .2,   .1,  -.2,  0)                                                 \
  F(brow_ridge,        1.8,   1.0,  0,    5,     .6,   .0,   .0,  0)                                                 \
  /* nose: height of the tip's underside, half width of the wings */                                                 \
  F(nose_length,       27,    2.0,  21,   33,    .25,  .0,   .2,  1)                                                 \
  F(nose_width,        9.6,   1.15, 6.8,  14,    .2,   .5,   .1,  1)                                                 \
  F(nose_height,       14.5,  2.0,  9,    21,    .2,  -.2,   .1,  0)                                                 \
  F(nose_bridge_width, 4.4,   .7,   2.6,  7,     .1,   .3,   .0,  0)                                                 \
  F(nose_bridge,       .42,   .12,  .1,   .8,    .1,  -.5,   .0,  0)                                                 \
  F(nose_hump,         .4,    .9,   -1.5, 3.5,   .2,  -.2,   .1,  0)                                                 \
  F(nose_tip,          5.6,   .8,   3.6,  8.2,   .2,   .2,   .1,  1)                                                 \
  F(nose_drop,         .5,    1.2,  -2.5, 4,     .1,   .0,   .3,  1)                                                 \
  F(nostrils,          2.3,   .45,  1.2,  4,     .1,   .4,   .0,  0)                                                 \
  /* mouth: half width, heights of the lips */                                                                       \
  F(mouth_width,       18.5,  1.7,  13.5, 24,    .2,   .1,   .0,  1)                                                 \
  F(lip_upper,         4.2,   .95,  1.6,  7.5,   -.3,   .4,  -.4,  1)                                                 \
  F(lip_lower,         5.6,   1.05, 2.4,  9.5,   -.3,   .4,  -.3,  1)                                                 \
  F(cupid_bow,         .32,   .14,  0,    .75,  -.2,   .0,  -.2,  1)                                                 \
  F(mouth_curve,       .6,    .9,   -2,   3,    -.1,   .0,  -.2,  1)                                                 \
  F(lip_red,           .45,   .22,  0,    1,    -.6,   .0,  -.1,  0)                                                 \
  F(philtrum,          1.0,   .4,   0,    2.2,   .0,   .0,  -.2,  0)                                                 \
  /* skin: melanin, blood, undertone, roughness */                                                                   \
  F(skin_tone,         .38,   .23,  0,    1,     .05,  .9,   .0,  0)                                                 \
  F(skin_red,          .5,    .22,  0,    1,     .1,  -.1,   .1,  0)                                                 \
  F(skin_yellow,       .5,    .22,  0,    1,     .0,   .1,   .0,  0)                                                 \
  F(skin_rough,        .5,    .22,  0,    1,     .3,   .0,   .4,  0)                                                 \
  F(freckles,          .0,    .45,  0,    1,     .0,  -.4,  -.2,  0)                                                 \
  /* hair */                                                                                                         \
  F(hair_dark,         .66,   .26,  0,    1,     .05,  .65,  .0,  0)                                                 \
  F(hair_red,          .2,    .28,  0,    1,     .0,  -.2,   .0,  0)                                                 \
  F(hair_grey,         0,     .4,   0,    1,     .0,   .0,   .85, 0)                                                 \
  F(hairline,          33,    3.5,  25,   46,    .2,   .0,   .3,  0)                                                 \
  F(hairline_recess,   3,     3,    -1,   13,    .45,  .0,   .4,  0)                                                 \
  F(hairline_peak,     .6,    1.6,  -2,   6,     .0,   .0,   .0,  0)                                                 \
  F(hair_amount,       1,     .1,   0,    1,     .0,   .0,   .0,  0)                                                 \
  F(hair_top,          9,     3,    1,    22,   -.1,   .1,  -.2,  0)                                                 \
  F(hair_side,         4,     2,    0,    20,   -.4,   .0,  -.1,  0)                                                 \
  F(hair_cover,        4,     2,    0,    14,   -.3,   .0,   .0,  0)                                                 \
  F(hair_length,       10,    10,   0,    110,   .0,   .0,   .0,  0)                                                 \
  F(hair_curl,         .1,    .2,   0,    1,     .0,   .45,  .0,  0)                                                 \
  F(hair_wave,         .5,    .4,   0,    2,    -.2,   .0,   .0,  0)                                                 \
  F(hair_parting,      0,     11,   -26,  26,    .0,   .0,   .0,  0)                                                 \
  F(fringe,            0,     4,    0,    24,   -.2,   .0,  -.2,  0)                                                 \
  F(fringe_slant,      0,     .35,  -1,   1,     .0,   .0,   .0,  0)                                                 \
  F(hair_shine,        .5,    .2,   0,    1,    -.3,   .0,  -.2,  0)                                                 \
  F(beard,             0,     .3,   0,    1,     .0,   .0,   .0,  0)                                                 \
  F(moustache,         0,     .3,   0,    1,     .0,   .0,   .0,  0)                                                 \
  F(stubble,           0,     .3,   0,    1,     .0,   .0,   .0,  0)                                                 \
  F(beard_edge,        0,     1,    -2,   2,     .0,   .0,   .0,  0)                                                 \
  /* marks (places against the eyes' midpoint) and lines of age */                                                   \
  F(mole_size,         .6,    .7,   0,    2.4,   .0,  -.1,   .1,  0)                                                 \
  F(mole_x,            0,     26,   -40,  40,    .0,   .0,   .0,  0)                                                 \
  F(mole_y,            34,    20,   -22,  70,    .0,   .0,   .0,  0)                                                 \
  F(mole2_size,        .1,    .6,   0,    2.0,   .0,  -.1,   .1,  0)                                                 \
  F(mole2_x,           0,     26,   -40,  40,    .0,   .0,   .0,  0)                                                 \
  F(mole2_y,           34,    20,   -22,  70,    .0,   .0,   .0,  0)                                                 \
  F(scar,              -.9,   .7,   0,    1,     .2,   .0,   .1,  0)                                                 \
  F(scar_x,            0,     24,   -38,  38,    .0,   .0,   .0,  0)                                                 \
  F(scar_y,            26,    26,   -26,  66,    .0,   .0,   .0,  0)                                                 \
  F(scar_angle,        0,     1,    -1.5, 1.5,   .0,   .0,   .0,  0)                                                 \
  F(lines_forehead,    .25,   .35,  0,    1.3,   .1,   .0,   .8,  0)                                                 \
  F(lines_mouth,       .4,    .35,  0,    1.5,   .1,   .0,   .75, 0)                                                 \
  F(lines_eyes,        .2,    .35,  0,    1.3,   .0,   .0,   .8,  0)                                                 \
  /* warmth of forehead, cheeks and nose, visibility of vessels: what a thermal camera sees of a person */           \
  F(heat_forehead,     0,     1,    -2.5, 2.5,   .0,   .0,   .0,  0)                                                 \
  F(heat_cheeks,       0,     1,    -2.5, 2.5,   .0,   .0,   .0,  0)                                                 \
  F(heat_nose,         0,     1,    -2.5, 2.5,   .0,   .0,   .0,  0)                                                 \
  F(heat_vessels,      1,     .3,   .3,   2,     .0,   .0,   .1,  0)

// Attribute factors: F(name, mean, standard deviation, least, largest). Angles in radians, lengths in frame pixels.
#define DVG_TOY_ATTRIBUTE_FACTORS(F)                                                                                 \
  /* pose; then what an aligner gets wrong: roll, scale, shift */                                                    \
  F(yaw,               0,     .15,  -.40, .40)                                                                       \
  F(pitch,             0,     .10,  -.26, .26)                                                                       \
  F(roll,              0,     .02,  -.08, .08)                                                                       \
  F(scale,             1,     .015, .94,  1.06)                                                                      \
  F(shift_x,           0,     .8,   -3,   3)                                                                         \
  F(shift_y,           0,     .8,   -3,   3)                                                                         \
  /* light: where it comes from, its share against the surroundings, colour (cold to warm) */                        \
  F(light_side,        0,     .42,  -1.2, 1.2)                                                                       \
  F(light_up,          .35,   .28,  -.4,  1.0)                                                                       \
  F(light_strength,    .86,   .14,  .4,   1.5)                                                                       \
  F(light_ambient,     .36,   .10,  .12,  .7)                                                                        \
  F(light_warmth,      0,     .5,   -1.3, 1.3)                                                                       \
  F(light_shadow,      .6,    .25,  0,    1)                                                                         \
  /* expression */                                                                                                   \
  F(smile,             .2,    .45,  -.6,  1.3)                                                                       \
  F(mouth_open,        -.15,  .35,  0,    1)                                                                         \
  F(brow_raise,        0,     .45,  -1,   1.3)                                                                       \
  F(brow_frown,        0,     .4,   -.8,  1.2)                                                                       \
  F(eye_closure,       .02,   .13,  -.15, .55)                                                                       \
  F(gaze_x,            0,     .35,  -1,   1)                                                                         \
  F(gaze_y,            0,     .2,   -.6,  .6)                                                                        \
  /* glasses: 0 or 1, then their kind */                                                                             \
  F(glasses,           0,     1,    0,    1)                                                                         \
  F(glasses_width,     15.5,  1.1,  12.5, 19)                                                                        \
  F(glasses_height,    10.5,  1.6,  7,    15)                                                                        \
  F(glasses_round,     .6,    .25,  .1,   1)                                                                         \
  F(glasses_thickness, 1.1,   .5,   .4,   2.6)                                                                       \
  F(glasses_shade,     .2,    .18,  .03,  .6)                                                                        \
  F(glasses_tint,      .02,   .1,   0,    .6)                                                                        \
  /* surroundings: lightness and colour of background and clothes */                                                 \
  F(background,        .55,   .15,  .1,   .95)                                                                       \
  F(background_hue,    0,     1,    -2,   2)                                                                         \
  F(background_chroma, .05,   .05,  0,    .25)                                                                        \
  F(background_slope,  0,     .12,  -.3,  .3)                                                                        \
  F(background_clutter,.06,   .06,  0,    .25)                                                                       \
  F(clothes,           .4,    .22,  .05,  .95)                                                                       \
  F(clothes_hue,       0,     1,    -2,   2)                                                                         \
  F(collar,            90,    4,    82,   104)                                                                       \
  /* state of hair and skin on that day */                                                                           \
  F(hair_mess,         .4,    .3,   0,    1.5)                                                                       \
  F(hair_shift,        0,     1.2,  -3,   3)                                                                         \
  F(flush,             0,     .3,   -.6,  .9)                                                                        \
  F(heat_level,        0,     .4,   -1,   1)                                                                         \
  /* camera */                                                                                                       \
  F(noise,             .5,    .25,  0,    1.5)                                                                       \
  F(blur,              .1,    .45,  0,    1.4)                                                                       \
  F(contrast,          1,     .08,  .75,  1.25)                                                                      \
  F(exposure,          1,     .10,  .7,   1.35)
// clang-format on

#define DVG_TOY_IDENTITY_FIELD(name, ...) float name;
#define DVG_TOY_ATTRIBUTE_FIELD(name, ...) float name;
struct dvg_toy_identity {
  DVG_TOY_IDENTITY_FACTORS(DVG_TOY_IDENTITY_FIELD)
};
struct dvg_toy_attributes {
  DVG_TOY_ATTRIBUTE_FACTORS(DVG_TOY_ATTRIBUTE_FIELD)
};

// The truth as flat vectors: a struct above is exactly its n factors in the order of the table, names are its
// fields' names.
struct dvg_toy_factor {
  const char *name;
  float mean, deviation, least, largest;
};
enum {
#define DVG_TOY_COUNT(...) +1
  dvg_toy_n_identity_factors = 0 DVG_TOY_IDENTITY_FACTORS(DVG_TOY_COUNT),
  dvg_toy_n_attribute_factors = 0 DVG_TOY_ATTRIBUTE_FACTORS(DVG_TOY_COUNT)
};
extern const struct dvg_toy_factor dvg_toy_identity_factors[dvg_toy_n_identity_factors];
extern const struct dvg_toy_factor dvg_toy_attribute_factors[dvg_toy_n_attribute_factors];

// out[dvg_toy_n_identity_factors], out[dvg_toy_n_attribute_factors].
void dvg_toy_identity_values(float *out, const struct dvg_toy_identity *id);
void dvg_toy_attribute_values(float *out, const struct dvg_toy_attributes *a);

// The factors of a person, 0 <= person < DVG_TOY_MAX_PERSONS, and of image 0 <= image < DVG_TOY_MAX_IMAGES of
// that person.
void dvg_toy_identity_of(struct dvg_toy_identity *id, uint64_t seed, int64_t person);
void dvg_toy_attributes_of(struct dvg_toy_attributes *a, uint64_t seed, int64_t person, int64_t image);

// rgb[size][size][3] = the picture, 1 <= size <= DVG_TOY_MAX_SIZE; NIR, SKETCH and THERMAL are gray (three
// equal channels). seed, person and image choose textures and noise only; factors outside their range are taken
// as its end, NaN as the mean. Errors: DVG_ERROR_MEMORY; DVG_ERROR_USAGE for a size or domain out of range.
DVG_CHECKED enum dvg_status dvg_toy_render(unsigned char *rgb, const struct dvg_toy_identity *id,
                                           const struct dvg_toy_attributes *a, enum dvg_toy_domain domain,
                                           int64_t size, uint64_t seed, int64_t person, int64_t image);

// points = x, y of the left eye, right eye, nose tip, left and right corner of the mouth, in pixels of the
// picture of that size (0, 0 is the outer corner of the first pixel, size, size that of the last). The same in
// VIS, NIR and THERMAL; a sketch (exaggerated, turned less, shifted) has them a few frame pixels beside these.
void dvg_toy_landmarks(float points[10], const struct dvg_toy_identity *id, const struct dvg_toy_attributes *a,
                       int64_t size);

// All of it for one picture: factors by (seed, person, image), then the picture.
DVG_CHECKED enum dvg_status dvg_toy_picture(unsigned char *rgb, enum dvg_toy_domain domain, int64_t size,
                                            uint64_t seed, int64_t person, int64_t image);

#endif
