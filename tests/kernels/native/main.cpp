// Random layers, batches and operators on every instruction set of this CPU and on the emulated one, each against the
// plain implementation; and input that must be refused.
//
//     differ [--seconds 5] [--seed 1] [--isa NAME]
//
// Every round has its own seed, so that `--seed` with the number of a failure repeats it first.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sstream>

#include "check.h"
#include "random.h"

namespace {

std::vector<std::string> instruction_sets() {
  char names[1024];
  strizh_isas(names, sizeof names);
  std::vector<std::string> isas{"amx_emulated"};
  std::istringstream list(names);
  for (std::string name; std::getline(list >> std::ws, name, ',');) isas.push_back(name);
  return isas;
}

}  // namespace

int main(int count, char** arguments) {
  double seconds = 5;
  uint64_t seed = 1;
  std::vector<std::string> isas = instruction_sets();
  for (int i = 1; i + 1 < count; i += 2) {
    if (!std::strcmp(arguments[i], "--seconds")) seconds = std::atof(arguments[i + 1]);
    else if (!std::strcmp(arguments[i], "--seed")) seed = std::strtoull(arguments[i + 1], nullptr, 10);
    else if (!std::strcmp(arguments[i], "--isa")) isas = {arguments[i + 1]};
    else return std::fprintf(stderr, "%s is not an option; there are --seconds, --seed and --isa\n", arguments[i]), 2;
  }
  std::string list;
  for (const std::string& isa : isas) list += " " + isa;
  std::printf("instruction sets:%s\n", list.c_str());

  const auto start = std::chrono::steady_clock::now();
  uint64_t rounds = 0;
  do {
    Random random(seed + rounds);
    try {
      check_layer(random, isas);
      check_operators(random, isas);
      check_hostile_input(random);
    } catch (const std::exception& failure) {
      std::printf("FAILED with --seed %llu: %s\n", static_cast<unsigned long long>(seed + rounds), failure.what());
      return 1;
    }
    rounds++;
  } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds);
  std::printf("%llu rounds passed\n", static_cast<unsigned long long>(rounds));
  return 0;
}
