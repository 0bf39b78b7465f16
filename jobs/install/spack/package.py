# Spack recipe of dvgface. Put this folder into a repository of your own as packages/dvgface/ and install from your clone:
#
#     spack repo create ~/dvg-repo dvg && mkdir -p ~/dvg-repo/packages/dvgface && cp jobs/install/spack/package.py ~/dvg-repo/packages/dvgface/
#     spack repo add ~/dvg-repo
#     spack develop --no-clone --path "$PWD" dvgface@main   (in an environment) or: spack dev-build dvgface@main
#
# Not yet run with Spack itself. tests/stages/install.sh checks that it is Python and depends on the libraries that the Makefile asks for, and on
# no others.
from spack.package import *


class Dvgface(MakefilePackage):
    """Heterogeneous face data synthesis (DVG-Face) on CPU clusters: a pipeline of MPI programs that exchange HDF5 files."""

    homepage = "https://arxiv.org/abs/2009.09399"

    version("main")  # from a clone: spack dev-build, spack develop

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")

    # The Makefile asks for ompi-c and openblas by these names, so MPI and BLAS are no virtual packages here.
    depends_on("openmpi@4:")
    depends_on("openblas threads=none")
    depends_on("hdf5@1.10: +shared")  # the serial library is enough, a parallel one does no harm
    depends_on("libpng")
    depends_on("libjpeg-turbo")
    depends_on("openssl")
    depends_on("libarchive")
    depends_on("cjson")
    depends_on("cunit")

    requires("%gcc@12:", msg="the convolution kernels are written in GCC's vector extensions")

    # Kernels for AVX2 and AVX-512 are always built and chosen when a program starts: no target is needed.

    def build(self, spec, prefix):
        make("all")

    def check(self):
        make("test")

    def install(self, spec, prefix):
        make("install", "PREFIX={0}".format(prefix))

    def setup_run_environment(self, env):
        env.set("OPENBLAS_NUM_THREADS", "1")  # a rank a core
