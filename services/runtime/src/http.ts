/**
 * `node:http` without what importing it costs: an ES module is given every name of it, and for one of them (WebSocket) Node
 * 26 loads undici, 7 MB of a probe's memory (measured). What is asked for by its own name loads nothing else.
 */
export const { Agent, createServer, request } = process.getBuiltinModule('node:http');
