import { accepted, quote, rejected } from '../model/parsed.ts';
import { isExact, parseHostPattern } from '../model/route.ts';
import { declareCommand } from './command.ts';
import { quietLogOptions } from './log.ts';
import { onOff, optional } from './option.ts';
import { registryAndLog, registryOptions } from './registry.ts';
import { localAdmin } from './see.ts';
import { word } from './words.ts';

/** A name that a certificate can have: `shop.example.com` or `*.example.com`. */
const certificateName = word((text) => {
  const host = parseHostPattern(text);
  if (!host.ok) return host;
  return isExact(text) || text.startsWith('*.')
    ? accepted(text)
    : rejected(`${quote(text)} is no name that a certificate can have: shop.example.com or *.example.com`);
});

export const certificatesCommand = declareCommand({
  name: 'certificates',
  summary: 'show the certificates of all hosts, and order new ones',
  options: {
    renew: optional(
      'HOST',
      certificateName,
      'order a new certificate for this host now, although its present one is valid',
      { flagOnly: true },
    ),
    admin: localAdmin,
    json: onOff('print JSON'),
    ...registryOptions,
    ...quietLogOptions,
  },
  assemble: (values) => ({
    ...registryAndLog(values),
    renew: values.renew,
    admin: values.admin,
    json: values.json,
  }),
});
