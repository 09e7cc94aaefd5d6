// The one unit of `lido::postgres_compiled`.
#include <lido/detail/acquire_request.hpp>
#include <lido/detail/administration.hpp>
#include <lido/detail/core_apart.hpp>
#include <lido/detail/platform.hpp>
#include <lido/detail/pool_types.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/policies.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

namespace lido::detail {
template class Core<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle,
                    StandardPlatform>;
template class AcquireRequests<
    PoolTypes<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle, StandardPlatform>>;
template class Administration<
    PoolTypes<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle, StandardPlatform>>;
}  // namespace lido::detail

namespace lido::postgres {
template struct detail::Transaction<Pool::Lease>;
template class BasicSession<Pool::Lease>;
template BasicSession<Pool::Lease>::BasicSession(Pool&, const TransactionOptions&, std::source_location);
}  // namespace lido::postgres

namespace lido::postgres::detail {
template TimePoint Attempts<TransactOptions>::after(std::optional<Session>&, const Error&, const Until&);
template void Attempts<TransactOptions>::begun(Session&) const;
template class Learned<Execution>;
template Learned<Execution>::Learned(Channel&, const std::string_view&, const Bound&);
template struct Calls<>;
template struct Configuring<>;
template struct MakingPool<>;
template struct ErrorText<>;
template struct Misfit<>;
template struct Refused<>;
}  // namespace lido::postgres::detail
