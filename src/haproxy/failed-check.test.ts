import { expect, test } from 'vitest';
import { describeFailedCheck } from './failed-check.ts';

test.each([
  ['Layer4 connection problem, info: "Connection refused"', 'connection refused'],
  ['L4CON Connection refused', 'connection refused'],
  ['L4CON', 'it cannot be connected to'],
  ['Layer4 timeout', 'no connection in time'],
  ['L4TOUT', 'no connection in time'],
  ['Layer7 wrong status, code: 503, info: "Service Unavailable"', 'HTTP status 503 (Service Unavailable)'],
  ['L7STS 503 Service Unavailable', 'HTTP status 503 (Service Unavailable)'],
  ['L7STS 500', 'HTTP status 500'],
  ['Layer7 wrong status, code: 404', 'HTTP status 404'],
  ['Layer7 timeout, info: "at step 2 of tcp-check (expect)"', 'no answer in time (at step 2 of tcp-check (expect))'],
  ['L6RSP SSL handshake failure', 'its TLS handshake failed (SSL handshake failure)'],
  ['Layer7 invalid response, info: "<html>"', 'its answer is not what the check expects (<html>)'],
  ['HAProxy gives no reason', 'HAProxy gives no reason'],
  ['', ''],
])('%j is told as %j', (text, told) => {
  expect(describeFailedCheck(text)).toBe(told);
});
