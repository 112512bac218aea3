/** A server on this machine: the embedded engine behind the local HTTP server. */
import { openAccess } from '#catalog/access.ts';
import { openTelemetry } from '#local/telemetry.ts';
import type { GraphSupport } from '#segment/graph.ts';
import { adminRoutes } from '#service/admin.ts';
import { takeGauges } from '#service/gauges.ts';
import { inspectRoutes } from '#service/inspect.ts';
import { parkedRoutes } from '#service/parked.ts';
import { readRoutes } from '#service/read.ts';
import { scrubRoutes } from '#service/scrub.ts';
import { userRoutes } from '#service/users.ts';
import { writeRoutes } from '#service/write.ts';
import { type Config, readConfig } from './config.ts';
import { type Engine, type EngineOptions, openEmbedded } from './embedded.ts';
import { http } from './http.ts';
import { type RunningServer, startServer } from './server.ts';
import { VERSION } from './version.ts';

export type StartOptions = Pick<EngineOptions, 'pace' | 'wrap' | 'cacheBytes'> &
  Readonly<{
    host?: string | undefined;
    port?: number | undefined;
    /** The data directory. */
    dir?: string | undefined;
    logLevel?: Config['logLevel'] | undefined;
  }>;

export type Sterna = Readonly<{
  url: string;
  /** The data directory. */
  dir: string;
  graphs: GraphSupport;
  engine: Engine;
  /** Takes no more requests, finishes those in flight, stops the background work. */
  close(): Promise<void>;
}>;

/**
 * @throws StoreError `DIRECTORY_UNUSABLE`, `FORMAT_TOO_NEW`, `INVALID_ARGUMENT` for a bad option or
 *   an address that cannot be listened on
 */
export async function startSterna(options: StartOptions): Promise<Sterna> {
  const config = readConfig({
    host: options.host,
    port: options.port,
    data: options.dir,
    logLevel: options.logLevel,
  });
  const telemetry = openTelemetry({ level: config.logLevel, processMetrics: true });
  const engine = await openEmbedded({ ...options, dir: config.data, telemetry });
  try {
    const access = await openAccess(engine.ports, config.rootPassword);
    const routes = {
      ...writeRoutes(engine),
      ...readRoutes(engine),
      ...adminRoutes(engine),
      ...inspectRoutes(engine),
      ...parkedRoutes(engine),
      ...scrubRoutes(engine),
      ...userRoutes(access),
    };
    let levels: ReadonlySet<number> = new Set();
    const server = await startServer({
      host: config.host,
      port: config.port,
      handler: http(routes, {
        ...engine.ports,
        authenticate: (header) => access.authenticate(header),
        bodyBytesMax: config.bodyBytesMax,
        timeoutMs: config.requestTimeoutMs,
      }),
      health: () => ({
        ready: true,
        version: VERSION,
        graphs: engine.graphs.available,
        ...(engine.graphs.reason === undefined ? {} : { graphsMissing: engine.graphs.reason }),
      }),
      metrics: async () => {
        // Metrics are looked at most when the storage is ill: they answer without the gauges then.
        levels = await takeGauges(engine, levels).catch((error: unknown) => {
          telemetry.event('warn', 'gauges-failed', { reason: String(error) });
          return levels;
        });
        return telemetry.metricsText();
      },
      bodyBytesMax: config.bodyBytesMax,
      ...engine.ports,
    });
    return running(engine, server, config);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

const running = (engine: Engine, server: RunningServer, config: Config): Sterna => ({
  url: server.url,
  dir: config.data,
  graphs: engine.graphs,
  engine,
  async close() {
    await server.close(config.shutdownGraceMs);
    await engine.close();
  },
});
