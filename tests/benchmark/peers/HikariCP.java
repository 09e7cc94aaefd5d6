// name: HikariCP
// kind: barges
// does: pool statements
// package: libhikaricp-java libpostgresql-jdbc-java libslf4j-java default-jdk-headless
// jars: HikariCP postgresql slf4j-api slf4j-nop
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.util.Arrays;
import java.util.Scanner;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import javax.sql.DataSource;

public class HikariCP {
  static volatile boolean over;
  static volatile long sink;

  // A connection that does nothing, so that the pool alone is measured.
  static Object stub(Class<?> what) {
    return Proxy.newProxyInstance(HikariCP.class.getClassLoader(), new Class<?>[] {what}, (self, method, given) -> {
      Class<?> type = method.getReturnType();
      if (type == Connection.class) return stub(type);
      if (type == boolean.class) return method.getName().equals("isValid");
      return type == int.class ? (Object) 0 : null;
    });
  }

  static long compute(int steps) {
    long value = steps | 1;
    for (int step = 0; step < steps; ++step) value = value * 6364136223846793005L + 1442695040888963407L;
    return value;
  }

  static long processor() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  public static void main(String[] arguments) throws Exception {
    String url = arguments.length > 0 ? arguments[0] : null;
    String sql = System.getenv().getOrDefault("BENCHMARK_STATEMENT", "select 1");
    boolean cold = System.getenv("BENCHMARK_COLD") != null;
    for (Scanner input = new Scanner(System.in); input.hasNext(); ) {
      int threads = input.nextInt(), slots = input.nextInt(), held = input.nextInt(), steps = input.nextInt();
      long sleep = input.nextLong();
      double seconds = Double.parseDouble(input.next());
      HikariConfig config = new HikariConfig();
      if (url == null) config.setDataSource((DataSource) stub(DataSource.class));
      else config.setJdbcUrl(url);
      config.setMaximumPoolSize(slots);
      try (HikariDataSource pool = new HikariDataSource(config)) {
        while (!cold && pool.getHikariPoolMXBean().getTotalConnections() < slots) Thread.sleep(1);
        Connection[] holders = new Connection[held];
        for (int i = 0; i < held; ++i) holders[i] = pool.getConnection();
        boolean holds = steps > 0 || sleep > 0 || url != null;
        long[] cycles = new long[threads], ended = new long[threads];
        StringBuilder[] waits = new StringBuilder[threads];
        CountDownLatch ready = new CountDownLatch(threads), go = new CountDownLatch(1), left = new CountDownLatch(threads);
        over = false;
        for (int i = 0; i < threads; ++i) {
          int place = i;
          new Thread(() -> {
            StringBuilder mine = waits[place] = new StringBuilder();
            long count = 0;
            ready.countDown();
            try {
              for (go.await(); !over; ++count) {
                boolean timed = holds || count % 1024 == 0;
                long asked = timed ? System.nanoTime() : 0;
                try (Connection connection = pool.getConnection()) {
                  if (timed) mine.append(',').append(System.nanoTime() - asked);
                  if (url != null)
                    try (PreparedStatement statement = connection.prepareStatement(sql)) {
                      statement.executeQuery().next();
                    }
                  if (steps > 0) sink = compute(steps);
                  if (sleep > 0) LockSupport.parkNanos(sleep * 1000);
                }
              }
            } catch (Exception failure) {
              throw new IllegalStateException(failure);
            }
            cycles[place] = count;
            ended[place] = System.nanoTime();
            left.countDown();
          }).start();
        }
        ready.await();
        long used = processor(), begun = System.nanoTime(), from = begun;
        go.countDown();
        Thread.sleep((long) (seconds * 1000));
        over = true;
        left.await();
        used = processor() - used;
        for (Connection each : holders) each.close();
        System.out.println("{\"seconds\": " + (Arrays.stream(ended).max().getAsLong() - begun) / 1e9 + ", \"processor\": " + used / 1e9
            + ", \"ended\": " + Arrays.toString(Arrays.stream(ended).mapToDouble(each -> (each - from) / 1e9).toArray())
            + ", \"cycles\": " + Arrays.toString(cycles) + ", \"waits\": [" + String.join("", waits).replaceFirst(",", "") + "]}");
      }
    }
  }
}
