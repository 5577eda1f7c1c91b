/** Whether this run does all there is (`npm run test:nightly`). `npm test` leaves out what takes long and seldom finds anything. */
export const isNightly = process.env['NIGHTLY'] === '1';
