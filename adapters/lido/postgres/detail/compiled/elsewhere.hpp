// What `lido::postgres_compiled` has compiled already.
#pragma once

#include <lido/detail/acquire_request.hpp>
#include <lido/detail/administration.hpp>
#include <lido/detail/core.hpp>
#include <lido/detail/platform.hpp>
#include <lido/detail/pool_types.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/policies.hpp>
#include <lido/postgres/pool.hpp>

namespace lido::detail {
extern template class Core<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle,
                           StandardPlatform>;
extern template class AcquireRequests<
    PoolTypes<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle, StandardPlatform>>;
extern template class Administration<
    PoolTypes<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle, StandardPlatform>>;
}  // namespace lido::detail

namespace lido::postgres::detail {
extern template struct Calls<>;
extern template struct Configuring<>;
extern template struct MakingPool<>;
extern template struct ErrorText<>;
extern template struct Misfit<>;
extern template struct Refused<>;
}  // namespace lido::postgres::detail
