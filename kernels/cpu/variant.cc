// One instruction-set variant: every kernel, compiled with this variant's flags, behind one table.
// Compiled with -DLODESTONE_ISA=name -DLODESTONE_ISA_NAME (see scripts/build-addon.mjs).
#include "simd.h"
#include "kernels.h"

#include "rms_norm.cc"
#include "add_norm.cc"
#include "layer_norm.cc"
#include "add.cc"
#include "average_pool.cc"
#include "log_sum_exp.cc"
#include "unpack.cc"
#include "embed.cc"
#include "ge_glu.cc"
#include "gelu_erf.cc"
#include "mat_mul.cc"
#include "quantise_rows.cc"
#include "lane_blocks.cc"
#include "mat_mul_quant.cc"
#include "mat_mul_bf16.cc"
#include "norm_rope.cc"
#include "store_kv.cc"
#include "unfold.cc"
#include "attention.cc"
#include "convert.cc"

#define LODESTONE_TEXT(a) LODESTONE_TEXT_(a)
#define LODESTONE_TEXT_(a) #a

namespace lodestone {
namespace LODESTONE_ISA {

extern const Kernels kernels;
const Kernels kernels = {
    LODESTONE_TEXT(LODESTONE_ISA),
    embed,
    rms_norm,
    add_norm,
    quantise_rows,
    dense_product,
    dense_scratch,
    bf16_rows,
    bf16_product,
    quant_product,
    norm_rope,
    store_kv,
    attention_tile,
    attention_partitions,
    attention_merge,
    attention_scratch,
    ge_glu,
    layer_norm,
    gelu,
    gelu_erf,
    unfold,
    add,
    average_pool,
    largest,
    log_sum_exp,
    add_bias,
    convert,
};

}  // namespace LODESTONE_ISA
}  // namespace lodestone
