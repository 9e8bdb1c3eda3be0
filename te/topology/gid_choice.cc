#include "te/topology/gid_choice.h"

#include <stdint.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"
#include "te/topology/gid.h"
#include "te/topology/gid_candidates.h"
#include "te/topology/nic.h"

namespace te {
namespace {

// Why two GIDs cannot talk, in the order in which it is looked at.
enum class Obstacle : uint8_t { kType, kScope, kFamily, kSubnet, kNone };

struct Side {
  const GidEnd& end;
  std::string name;  // "mlx5_0 port 1 of the peer"
  GidCandidates found = {};
};

absl::StatusOr<Side> SideOf(const GidEnd& end, LinkLayer layer,
                            absl::string_view default_owner) {
  const NicPort& port = end.port;
  const absl::string_view owner =
      end.owner.empty() ? default_owner : absl::string_view(end.owner);
  Side side = {
      .end = end,
      .name = absl::StrCat(EscapedName(end.device), " port ", port.number,
                           owner.empty() ? "" : " of ", owner)};
  const auto is_forced = [&](const GidEntry& entry) {
    return entry.index == *end.forced_index;
  };
  if (end.forced_index.has_value() && port.gids.has_value() &&
      std::none_of(port.gids->begin(), port.gids->end(), is_forced)) {
    return absl::NotFoundError(absl::StrCat(
        "the GID index ", *end.forced_index, " is not in the table of ",
        side.name, ", which has: ", ListGids(port),
        "; name one of these, or none to have it chosen"));
  }
  side.found = FindGidCandidates(port, layer, end.source, end.forced_index);
  return side;
}

bool SameSubnet(const Gid& a, const Gid& b) {
  return std::equal(a.bytes().begin(), a.bytes().begin() + 8,
                    b.bytes().begin());
}

Obstacle ObstacleBetween(const GidCandidate& a, const GidCandidate& b,
                         const GidChoiceOptions& options) {
  if (a.scope == GidScope::kSubnet) {
    const bool routed = options.global_routing && !a.entry.gid.IsLinkLocal() &&
                        !b.entry.gid.IsLinkLocal();
    return routed || SameSubnet(a.entry.gid, b.entry.gid) ? Obstacle::kNone
                                                          : Obstacle::kSubnet;
  }
  if (a.entry.type != b.entry.type) return Obstacle::kType;
  if ((a.scope == GidScope::kLinkLocal) != (b.scope == GidScope::kLinkLocal)) {
    return Obstacle::kScope;
  }
  return a.entry.gid.IsIpv4Mapped() == b.entry.gid.IsIpv4Mapped()
             ? Obstacle::kNone
             : Obstacle::kFamily;
}

// What a pair is worth; lower is better, the first difference decides. It does
// not matter which end is which, but for the last member, which differs only
// between ends that have each other's GIDs.
struct Score {
  int type = 0;
  bool link_local = false;
  int not_the_source = 0;
  GidScope scope = GidScope::kSubnet;
  int unlike_bits = 0;
  int foreign = 0;
  int indexes = 0;
  std::array<std::array<uint8_t, 16>, 2> gids = {};
  int local_index = 0;

  auto Members() const {
    return std::tie(type, link_local, not_the_source, scope, unlike_bits,
                    foreign, indexes, gids, local_index);
  }
  friend bool operator<(const Score& a, const Score& b) {
    return a.Members() < b.Members();
  }
};

int TypeRank(GidType type) {
  if (type == GidType::kRoceV2 || type == GidType::kInfiniBand) return 0;
  return type == GidType::kRoceV1 ? 1 : 2;
}

// How many bits of the network's part differ, from the first that does. How
// long that part is only netdevs know: /24 and /64 are the usual. Within it a
// longer match would be chance.
int UnlikeBits(const Gid& a, const Gid& b) {
  const int end = a.IsIpv4Mapped() ? 96 + 24 : 64;
  for (int bit = 0; bit < end; ++bit) {
    const int mask = 0x80 >> (bit % 8);
    if ((a.bytes()[bit / 8] & mask) != (b.bytes()[bit / 8] & mask)) {
      return end - bit;
    }
  }
  return 0;
}

bool MissesSource(const Side& side, const GidCandidate& candidate) {
  return side.end.source.has_value() && !candidate.is_source;
}

Score ScoreOf(const Side& here, const GidCandidate& local) {
  return {.type = TypeRank(local.entry.type),
          .link_local = local.scope == GidScope::kLinkLocal,
          .not_the_source = MissesSource(here, local) ? 1 : 0,
          .scope = local.scope,
          .foreign = local.foreign ? 1 : 0,
          .indexes = local.entry.index,
          .gids = {local.entry.gid.bytes()},
          .local_index = local.entry.index};
}

Score ScoreOf(const Side& here, const GidCandidate& local, const Side& there,
              const GidCandidate& remote) {
  Score score = ScoreOf(here, local);
  score.type = std::max(score.type, TypeRank(remote.entry.type));
  score.not_the_source += MissesSource(there, remote) ? 1 : 0;
  score.scope = std::max(local.scope, remote.scope);
  score.unlike_bits = UnlikeBits(local.entry.gid, remote.entry.gid);
  score.foreign += remote.foreign ? 1 : 0;
  score.indexes += remote.entry.index;
  score.gids[1] = remote.entry.gid.bytes();
  std::sort(score.gids.begin(), score.gids.end());
  return score;
}

absl::string_view ScopeName(GidScope scope) {
  switch (scope) {
    case GidScope::kSubnet:
      return "of a subnet";
    case GidScope::kIpv4:
      return "IPv4";
    case GidScope::kGlobalIpv6:
      return "global IPv6";
    case GidScope::kUniqueLocalIpv6:
      return "unique local IPv6";
    case GidScope::kLinkLocal:
      return "link-local, which routers do not forward";
  }
  return "";
}

// `remote` may be null.
std::string WhyGood(const Side& here, const GidCandidate& local,
                    const GidCandidate* remote) {
  std::string text = absl::StrCat("is ", GidTypeName(local.entry.type));
  if (local.scope == GidScope::kSubnet) {
    if (remote == nullptr) return text;
    return absl::StrCat(text, SameSubnet(local.entry.gid, remote->entry.gid)
                                  ? ", in the peer's subnet"
                                  : ", in a subnet that is routed to the "
                                    "peer's");
  }
  absl::StrAppend(&text, ", ", ScopeName(local.scope));
  if (local.is_source) {
    absl::StrAppend(&text, ", the source of the route to the peer");
  }
  if (local.foreign) {
    absl::StrAppend(&text, ", of ", EscapedName(local.entry.netdev),
                    ", not of ", EscapedName(here.end.port.netdev),
                    ", the netdev in use");
  }
  return text;
}

std::string WhyNot(const GidCandidate& local, Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kType:
      return absl::StrCat("is ", GidTypeName(local.entry.type),
                          ", which the peer has not");
    case Obstacle::kScope:
      return local.scope == GidScope::kLinkLocal
                 ? "is link-local, which the peer has not"
                 : "is not link-local, as all that the peer has is";
    case Obstacle::kFamily:
      return local.entry.gid.IsIpv4Mapped() ? "is IPv4, which the peer has not"
                                            : "is IPv6, which the peer has not";
    case Obstacle::kSubnet:
      return "is of another InfiniBand subnet than the peer";
    case Obstacle::kNone:
      break;
  }
  return "";
}

// What to do about it when it stands between all GIDs of two ports.
absl::string_view Remedy(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kType:
      return "they have no version of RoCE in common: switch on RoCE v2 at "
             "both";
    case Obstacle::kScope:
      return "one has link-local ones alone: give its netdev an IP address, of "
             "the family that the other has";
    case Obstacle::kFamily:
      return "one has IPv4 and the other IPv6: give both netdevs addresses of "
             "one family";
    case Obstacle::kSubnet:
      return "they are in different InfiniBand subnets: connect them to one, "
             "or "
             "allow global routing if a router connects these";
    case Obstacle::kNone:
      break;
  }
  return "";
}

absl::Status NothingFits(const Side& here, const Side& there,
                         absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "no GID of ", here.name, " can talk to one of ", there.name, ": ", why,
      "; ", here.name, " has: ", ListGids(here.end.port), "; ", there.name,
      " has: ", ListGids(there.end.port)));
}

// `side` has no candidate.
std::string WhyNone(const Side& side) {
  const NicPort& port = side.end.port;
  if (!port.gids.has_value()) {
    return absl::StrCat("the GID table of ", side.name, " is not known");
  }
  if (side.end.forced_index.has_value()) {
    for (const auto& [entry, reason] : side.found.skipped) {
      if (entry.index != *side.end.forced_index) continue;
      return absl::StrCat("the forced GID index ", *side.end.forced_index,
                          " of ", side.name, " ", reason, ": name another");
    }
  }
  return absl::StrCat(
      side.name, " has no usable GID: ",
      port.netdev.empty()
          ? "is its netdev up, with an IP address, in this network namespace?"
          : absl::StrCat("has ", EscapedName(port.netdev),
                         " an IP address, and is it up?"));
}

struct ScoredPair {
  Score score;
  GidPair pair;
  // Whether an InfiniBand router would be between them.
  bool same_subnet = true;
};

// What stands between `local` and those of `there` that come nearest: kNone if
// `best` now has the pair that is worth most.
Obstacle FindBest(const Side& here, const GidCandidate& local,
                  const Side& there, const GidChoiceOptions& options,
                  std::optional<ScoredPair>& best) {
  Obstacle nearest = Obstacle::kType;
  for (const GidCandidate& remote : there.found.candidates) {
    const Obstacle obstacle = ObstacleBetween(local, remote, options);
    nearest = std::max(nearest, obstacle);
    if (obstacle != Obstacle::kNone) continue;
    const Score score = ScoreOf(here, local, there, remote);
    if (best.has_value() && !(score < best->score)) continue;
    best = ScoredPair{
        .score = score,
        .pair = {.local = local.entry,
                 .remote = remote.entry,
                 .one_network = score.unlike_bits == 0,
                 .reason = WhyGood(here, local, &remote)},
        .same_subnet = SameSubnet(local.entry.gid, remote.entry.gid)};
  }
  return nearest;
}

// Pairs that can talk, the best first, and what cannot. FAILED_PRECONDITION if
// none can.
absl::StatusOr<std::vector<ScoredPair>> PairUp(
    const Side& here, const Side& there, const GidChoiceOptions& options,
    std::vector<SkippedGid>& skipped) {
  std::vector<ScoredPair> pairs;
  Obstacle nearest = Obstacle::kType;
  for (const GidCandidate& local : here.found.candidates) {
    std::optional<ScoredPair> best;
    const Obstacle obstacle = FindBest(here, local, there, options, best);
    nearest = std::max(nearest, obstacle);
    if (best.has_value()) {
      pairs.push_back(*std::move(best));
    } else {
      skipped.push_back({local.entry, WhyNot(local, obstacle)});
    }
  }
  if (pairs.empty()) {
    // The other end's table may be no more than what its user forces.
    return NothingFits(
        here, there,
        absl::StrCat(Remedy(nearest),
                     ", and if a GID index is forced, force one of the same "
                     "kind at both ends, or none"));
  }
  return pairs;
}

// As long as the peer's are not known.
std::vector<ScoredPair> Alone(const Side& here) {
  std::vector<ScoredPair> pairs;
  for (const GidCandidate& local : here.found.candidates) {
    pairs.push_back({.score = ScoreOf(here, local),
                     .pair = {.local = local.entry,
                              .remote = std::nullopt,
                              .reason = WhyGood(here, local, nullptr)}});
  }
  return pairs;
}

// Of two versions of RoCE the better one alone is kept, unless it is not known
// what the peer has. `pairs` are sorted.
void SkipOlderRoce(std::vector<ScoredPair>& pairs,
                   std::vector<SkippedGid>& skipped) {
  const auto older =
      std::find_if(pairs.begin(), pairs.end(), [&](const ScoredPair& scored) {
        return scored.pair.remote.has_value() &&
               scored.score.type > pairs.front().score.type;
      });
  for (auto scored = older; scored != pairs.end(); ++scored) {
    const GidEntry& local = scored->pair.local;
    skipped.push_back(
        {local,
         absl::StrCat("is ", GidTypeName(local.type), ", and both ends have ",
                      GidTypeName(pairs.front().pair.local.type))});
  }
  pairs.erase(older, pairs.end());
}

// Whether LIDs may be the address, as far as the ports themselves tell.
bool HaveLids(const GidEnd& local, const GidEnd& remote, LinkLayer layer) {
  const bool untold = !remote.port.gids.has_value() && remote.port.lid == 0;
  return layer == LinkLayer::kInfiniBand && local.port.lid != 0 &&
         (remote.port.lid != 0 || untold) && !local.forced_index.has_value() &&
         !remote.forced_index.has_value();
}

}  // namespace

absl::StatusOr<GidChoice> ChooseGids(const GidEnd& local, const GidEnd& remote,
                                     const GidChoiceOptions& options) {
  const LinkLayer here_layer = LayerOf(local.port);
  const LinkLayer there_layer = LayerOf(remote.port);
  const LinkLayer layer =
      here_layer == LinkLayer::kUnknown ? there_layer : here_layer;
  TE_ASSIGN_OR_RETURN(const Side here, SideOf(local, layer, ""));
  TE_ASSIGN_OR_RETURN(const Side there, SideOf(remote, layer, "the peer"));
  if (there_layer != LinkLayer::kUnknown && there_layer != layer) {
    return NothingFits(
        here, there,
        absl::StrCat("one is ", LinkLayerName(layer), " and the other ",
                     LinkLayerName(there_layer),
                     ": choose ports of one link layer"));
  }
  const bool lids = HaveLids(local, remote, layer);
  const bool told = remote.port.gids.has_value();
  if (!lids && here.found.candidates.empty()) {
    return NothingFits(here, there, WhyNone(here));
  }
  if (!lids && told && there.found.candidates.empty()) {
    return NothingFits(here, there, WhyNone(there));
  }

  GidChoice choice;
  for (const auto& [entry, reason] : here.found.skipped) {
    choice.skipped.push_back({entry, reason});
  }
  std::vector<ScoredPair> pairs;
  if (here.found.candidates.empty() || there.found.candidates.empty()) {
    pairs = Alone(here);
  } else {
    TE_ASSIGN_OR_RETURN(pairs, PairUp(here, there, options, choice.skipped));
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const ScoredPair& a, const ScoredPair& b) {
              return a.score < b.score;
            });
  if (layer != LinkLayer::kInfiniBand) SkipOlderRoce(pairs, choice.skipped);
  choice.by_lid = lids && (pairs.empty() || pairs.front().same_subnet);
  for (ScoredPair& scored : pairs) {
    choice.pairs.push_back(std::move(scored.pair));
  }
  return choice;
}

}  // namespace te
