// The networks of DVG-Face (SPEC: the authors' layers and parameter names), a line a layer. Each function adds one network to a graph and returns
// its output node; errors surface in dvg_graph_plan. Sizes: `width` multiplies every channel count (at least 1 channel is left), `size` is
// the image's side, a multiple of 32. The published networks are width 1, size 128. F's embeddings and F_s's noise always have DVG_CODE values.
//
// The identities that F_s gives and G takes may have another length, `code`, that of another recogniser's embeddings. In a generator the attribute codes are as
// long, since the loss that keeps the two apart takes their inner product.
#ifndef DVG_MODELS_H
#define DVG_MODELS_H

#include "common/nn/graph.h"

enum { DVG_CODE = 256, DVG_MAX_CODE = 4096 }; // values of an embedding of F, of noise, and of codes unless said otherwise; the longest codes

struct dvg_model {
  double width;
  int64_t size;
  int64_t code; // values of an identity and of an attribute code; 0: DVG_CODE
};

// The length of the model's codes, L below.
int64_t dvg_model_code(struct dvg_model m);

// `channels` of the published network, scaled.
int64_t dvg_model_channels(struct dvg_model m, int64_t channels);

// F, LightCNN-29v2 (Wu, He, Sun, Tan, TIFS 2018): gray image (N,1,size,size) in [0,1] -> embedding (N,256), not normalised.
int dvg_lightcnn(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image);
// F's classifier: dropout 0.5, then linear 256 -> classes without bias ("fc2_"). `items`: integers, one a row, for the dropout (dvg_graph_dropout).
int dvg_lightcnn_classifier(struct dvg_graph *g, struct dvg_scope s, int embedding, int64_t classes, uint64_t seed, int items);

// E, attribute encoder: RGB image (N,3,size,size) in [0,1] -> attribute code z (N,L), unit vectors.
int dvg_encoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image);
// The variational E (SPEC 1, P): mean ("fc_enc") and log-variance ("fc_log_variance") of a normal distribution of codes (N,L). A code drawn from it, or from
// the prior N(0, I), is normalised before anything sees it, so that z weighs as much as the identity and the rest of G stays as it is; dvg_encoder on
// the same weights gives the normalised mean.
void dvg_encoder_posterior(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image, int *mean, int *log_variance);
// E's second half: z -> style (N, dvg_style_values(m)): for each AdaIN layer of the decoder its shifts, then its scales.
int dvg_encoder_style(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int z);
int64_t dvg_style_values(struct dvg_model m);

// G, decoder, shared by the domains: identity (N,L) and z (N,L), style -> features (N,32 width,size,size).
int dvg_decoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int identity, int z, int style);
// G's head of one domain ("nir" -> nir_output): features -> RGB image (N,3,size,size) in [0,1].
int dvg_decoder_head(struct dvg_graph *g, struct dvg_scope s, const char *domain, int features);

// D, discriminator of one domain (the papers don't say which: ours is a PatchGAN of four levels, Isola et al., CVPR 2017, without norms, so that an image's
// verdict depends on no other one): RGB image (N,3,size,size) in [0,1] -> a logit a patch (N,1,size/16,size/16), high for a photograph. `conv.0` to `conv.3`: conv 4x4,
// stride 2, 3->64->128->256->512, LeakyReLU 0.2; `output`: conv 3x3.
int dvg_discriminator(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int image);

// F_s, identity sampler: noise (N,256), standard normal -> identity (N,L), unit vectors. The decoder of the VAE.
int dvg_identity_sampler(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int noise);
// The VAE's encoder, the sampler's mirror image: identity (N,L) -> mean and log-variance (N,256) of the noise.
void dvg_identity_encoder(struct dvg_graph *g, struct dvg_scope s, struct dvg_model m, int embedding, int *mean, int *log_variance);

#endif
