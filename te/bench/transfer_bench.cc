#include "te/bench/program.h"

int main(int argc, char** argv) {
  return te::bench::RunTransferBench({argv, static_cast<size_t>(argc)});
}
