// HikariCP, as its defaults are. See ./run for what it reads and prints.
// package: libhikaricp-java libpostgresql-jdbc-java libslf4j-java
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.CountDownLatch;

public class HikariPeer {
  public static void main(String[] arguments) throws Exception {
    List<double[]> callers = new ArrayList<>();
    for (Scanner input = new Scanner(System.in); input.hasNext(); )
      callers.add(new double[] {Double.parseDouble(input.next()), Double.parseDouble(input.next())});
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(arguments[0]);
    config.setMaximumPoolSize(Integer.parseInt(arguments[1]));
    String[] said = new String[callers.size()];
    CountDownLatch left = new CountDownLatch(callers.size());
    try (HikariDataSource pool = new HikariDataSource(config)) {
      while (pool.getHikariPoolMXBean().getTotalConnections() < config.getMaximumPoolSize()) Thread.sleep(10);
      long begun = System.nanoTime();
      for (int i = 0; i < said.length; ++i) {
        double[] caller = callers.get(i);
        int place = i;
        long early = begun + (long) (caller[0] * 1e9) - System.nanoTime();
        if (early > 0) Thread.sleep(early / 1_000_000, (int) (early % 1_000_000));
        new Thread(null, () -> {
          said[place] = call(pool, caller);
          left.countDown();
        }, "caller", 128 * 1024).start();
      }
      left.await();
    }
    System.out.println(String.join("\n", said));
  }

  private static String call(HikariDataSource pool, double[] caller) {
    long asked = System.nanoTime(), granted = asked;
    String fate = "served";
    try (Connection connection = pool.getConnection()) {
      granted = System.nanoTime();
      try (PreparedStatement statement = connection.prepareStatement("select pg_sleep(?)")) {
        statement.setDouble(1, caller[1]);
        statement.execute();
      }
    } catch (SQLTransientConnectionException refused) {
      fate = "timed_out";
    } catch (SQLException failure) {
      fate = "failed";
    }
    long ended = System.nanoTime();
    return caller[0] + " " + (granted - asked) / 1e9 + " " + (ended - granted) / 1e9 + " " + fate;
  }
}
